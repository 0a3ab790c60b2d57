#include "sim/kernel/trace.h"

#include <algorithm>
#include <bit>
#include <cstdio>

namespace weir::sim {

void Trace::mix(std::uint64_t word) {
  hash_ = (std::rotl(hash_, 23) ^ word) * 0x9E37'79B9'7F4A'7C15;
}

void Trace::mix(const char* text) {
  std::uint64_t word = 0;
  for (; *text != '\0'; ++text) word = word * 131 + static_cast<unsigned char>(*text);
  mix(word);
}

void Trace::add(const Line& line) {
  mix(line.at_ns);
  mix(std::uint64_t{line.who} << 32 | static_cast<std::uint32_t>(line.number));
  mix(line.what);
  if (line.outcome != nullptr) mix(line.outcome);
  mix(line.first);
  mix(line.second);
  ring_[count_++ % kLines] = line;
}

std::vector<std::string> Trace::last_lines() const {
  std::vector<std::string> lines;
  for (std::uint64_t i = count_ - std::min<std::uint64_t>(count_, kLines); i < count_; ++i) {
    const Line& line = ring_[i % kLines];
    char seconds[32];
    std::snprintf(seconds, sizeof(seconds), "%5llu.%09llu ", line.at_ns / 1'000'000'000ULL,
                  line.at_ns % 1'000'000'000ULL);
    std::string text = seconds;
    text += names_[line.who];
    text += ' ';
    text += line.what;
    const auto add = [&text](auto number) { text += ' ' + std::to_string(number); };
    if (line.number >= 0) add(line.number);
    if (line.first != 0 || line.second != 0) add(line.first);
    if (line.second != 0) add(line.second);
    if (line.outcome != nullptr) text += std::string(" -> ") + line.outcome;
    lines.push_back(std::move(text));
  }
  return lines;
}

}  // namespace weir::sim
