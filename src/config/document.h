// The TOML text as a plain tree in written order, every key and value with its place.
//
// The only seam to the TOML library: document.cpp is the one file that includes it. What the tree
// means is for the loaders to say.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/diagnostics.h"

namespace weir::config {

struct Member;

struct Value {
  enum class Type : std::uint8_t {
    string,
    integer,
    real,
    boolean,
    date_time,
    array,
    table,
  };
  Type type = Type::table;
  Span span;                    // Of a table with a header: the header.
  std::string text;             // string
  std::int64_t integer = 0;     // integer
  bool boolean = false;         // boolean
  std::vector<Value> items;     // array
  std::vector<Member> members;  // table, in the order of the file

  [[nodiscard]] const Member* find(std::string_view key) const;
};

struct Member {
  std::string key;
  Span key_span;
  Value value;
};

// Where the TOML library gave up, in its own words.
struct ParseFailure {
  std::uint32_t line = 1;
  std::uint32_t column = 1;
  std::string reason;
};

// `text` is UTF-8 without NUL bytes; check_bytes() has seen to that.
[[nodiscard]] Result<Value, ParseFailure> parse_document(std::string_view text);

// "a string", "a whole number", ...
[[nodiscard]] std::string_view type_name(Value::Type type);

}  // namespace weir::config
