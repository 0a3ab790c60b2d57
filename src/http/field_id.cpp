#include "http/field_id.h"

#include <array>

#include "http/field_table.h"
#include "http/scan.h"

namespace weir::http {
namespace {

constexpr std::array<std::string_view, kFieldIdCount> make_spellings() {
  std::array<std::string_view, kFieldIdCount> names{};
  for (const field_table::Known& known : field_table::kKnown) {
    if (known.id == FieldId::other) continue;
    names[static_cast<std::size_t>(known.id)] = known.spelling;
  }
  return names;
}

constexpr std::array<std::string_view, kFieldIdCount> kSpellings = make_spellings();

// CGI and its heirs read '_' and '-' alike, so a spoofed X_Forwarded_For counts as one of the
// family.
bool has_prefix_loosely(std::string_view name, std::string_view prefix) {
  if (name.size() < prefix.size()) return false;
  for (std::size_t i = 0; i < prefix.size(); ++i) {
    const char byte = name[i] == '_' ? '-' : scan::lower(name[i]);
    if (byte != prefix[i]) return false;
  }
  return true;
}

}  // namespace

FieldId field_table::find_unlisted_x(std::string_view name) {
  if (has_prefix_loosely(name, "x-forwarded-")) return FieldId::x_forwarded_other;
  const bool real_ip = name.size() == 9 && has_prefix_loosely(name, "x-real-ip");
  return real_ip ? FieldId::x_real_ip : FieldId::other;
}

FieldId field_id(std::string_view name) {
  const std::optional<FieldId> listed = field_table::find(name);
  return listed ? *listed : field_table::find_unlisted(name);
}

std::string_view field_name(FieldId id) { return kSpellings[static_cast<std::size_t>(id)]; }

}  // namespace weir::http
