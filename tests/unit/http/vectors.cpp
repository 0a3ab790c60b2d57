// See vectors.h.
#include "vectors.h"

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

namespace weir::http::test {
namespace {

[[noreturn]] void refuse(const std::string& where, std::string_view problem) {
  std::cerr << where << ": " << problem << '\n';
  std::abort();
}

std::string unescape(std::string_view text, const std::string& where);

// "{N:text}": the text N times.
std::string unescape_repeat(std::string_view& rest, const std::string& where) {
  const std::size_t colon = rest.find(':');
  const std::size_t brace = rest.find('}');
  if (colon == std::string_view::npos || brace == std::string_view::npos || brace < colon) {
    refuse(where, "malformed repetition");
  }
  const int count = std::stoi(std::string(rest.substr(1, colon - 1)));
  const std::string unit = unescape(rest.substr(colon + 1, brace - colon - 1), where);
  rest.remove_prefix(brace + 1);
  std::string out;
  for (int i = 0; i < count; ++i) out += unit;
  return out;
}

std::string unescape(std::string_view text, const std::string& where) {
  std::string out;
  while (!text.empty()) {
    const char byte = text.front();
    text.remove_prefix(1);
    if (byte != '\\') {
      out += byte;
      continue;
    }
    if (text.empty()) refuse(where, "lone backslash");
    if (text.front() == '{') {
      out += unescape_repeat(text, where);
      continue;
    }
    const char kind = text.front();
    text.remove_prefix(1);
    switch (kind) {
      case 'r': out += '\r'; break;
      case 'n': out += '\n'; break;
      case 't': out += '\t'; break;
      case 's': out += ' '; break;
      case '0': out += '\0'; break;
      case '\\': out += '\\'; break;
      case 'x':
        out += static_cast<char>(std::stoi(std::string(text.substr(0, 2)), nullptr, 16));
        text.remove_prefix(2);
        break;
      default: refuse(where, "unknown escape");
    }
  }
  return out;
}

}  // namespace

std::string Case::option(std::string_view name_of, std::string_view otherwise) const {
  const auto found = options.find(name_of);
  return found == options.end() ? std::string(otherwise) : found->second;
}

std::vector<std::string> Case::list(std::string_view name_of) const {
  std::vector<std::string> words;
  std::istringstream text(option(name_of));
  for (std::string word; std::getline(text, word, ',');) words.push_back(word);
  return words;
}

unsigned Case::number(std::string_view name_of, unsigned otherwise) const {
  return has(name_of) ? static_cast<unsigned>(std::stoul(option(name_of))) : otherwise;
}

std::vector<Case> read_cases(std::string_view file) {
  const std::string path = std::string(WEIR_TEST_VECTORS) + "/http/" + std::string(file);
  std::ifstream in(path);
  if (!in) refuse(path, "cannot be read");
  std::vector<Case> cases;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    const std::string where = std::string(file) + ":" + std::to_string(number);
    if (line.empty() || line[0] == '#') continue;
    if (line.starts_with("== ")) {
      cases.emplace_back();
      cases.back().name = line.substr(3);
      cases.back().where = where;
      continue;
    }
    if (cases.empty() || line.size() < 2 || line[1] != ' ') refuse(where, "not a vector line");
    Case& now = cases.back();
    const std::string text = line.substr(2);
    switch (line[0]) {
      case '<': now.in += unescape(text, where); break;
      case '>': now.expected.push_back(escape(unescape(text, where))); break;
      case '=': now.out += unescape(text, where); break;
      case '!': {
        const std::size_t equal = text.find('=');
        now.options[text.substr(0, equal)] =
            equal == std::string::npos ? "" : text.substr(equal + 1);
        break;
      }
      default: refuse(where, "not a vector line");
    }
  }
  return cases;
}

std::string escape(std::string_view bytes) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    if (byte == '\r') {
      out += "\\r";
    } else if (byte == '\n') {
      out += "\\n";
    } else if (byte == '\t') {
      out += "\\t";
    } else if (byte == '\\') {
      out += "\\\\";
    } else if (value < 0x20 || value > 0x7e) {
      out += "\\x";
      out += kHex[value >> 4];
      out += kHex[value & 15];
    } else {
      out += byte;
    }
  }
  return out;
}

}  // namespace weir::http::test
