#include "http/connection_options.h"

#include "http/list.h"
#include "http/scan.h"

namespace weir::http {
namespace {

constexpr FieldSet kNeverNominated(FieldId::host, FieldId::content_length,
                                   FieldId::transfer_encoding, FieldId::expect,
                                   FieldId::max_forwards, FieldId::cache_control, FieldId::via,
                                   FieldId::forwarded, FieldId::x_forwarded_for,
                                   FieldId::x_forwarded_proto, FieldId::x_forwarded_host,
                                   FieldId::x_forwarded_other, FieldId::x_real_ip);

void nominate(const HeadParser& head, std::string_view option, FieldId id, FieldIndexSet& set) {
  if (!head.present().contains(id)) return;
  const auto fields = head.fields();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].id == id && scan::equals_nocase(head.name(fields[i]), option)) set.insert(i);
  }
}

void read_option(const HeadParser& head, std::string_view option, ConnectionOptions& out) {
  if (scan::equals_lower(option, "close")) {
    out.close = true;
    return;
  }
  const FieldId id = field_id(option);
  out.keep_alive = out.keep_alive || id == FieldId::keep_alive;
  out.upgrade = out.upgrade || id == FieldId::upgrade;
  if (!kNeverNominated.contains(id)) nominate(head, option, id, out.nominated);
}

}  // namespace

ParseError read_connection_lines(const HeadParser& head, ConnectionOptions& out) {
  unsigned count = 0;
  for (const Field& field : head.fields()) {
    if (field.id != FieldId::connection) continue;
    std::string_view rest = head.value(field);
    do {
      const std::string_view option = next_element(rest);
      if (option.empty()) continue;
      if (++count > kConnectionOptionsMax) return ParseError::too_many_connection_options;
      read_option(head, option, out);
    } while (rest.data() != nullptr);
  }
  return ParseError::none;
}

}  // namespace weir::http
