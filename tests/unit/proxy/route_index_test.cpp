// The index against the rules written down one by one: random routes, random requests.
#include "proxy/route_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/prng.h"

namespace weir::proxy {
namespace {

// The reference: docs/configuration.md, read aloud.
bool takes_host(const std::string& pattern, std::string_view host) {
  std::string lower(host);
  std::ranges::transform(lower, lower.begin(), http::scan::lower);
  if (!pattern.starts_with("*.")) return lower == pattern;
  const std::string suffix = pattern.substr(1);
  return lower.size() > suffix.size() && lower.ends_with(suffix);
}

bool takes_path(const std::string& pattern, std::string_view path) {
  if (pattern.starts_with('=')) return path == pattern.substr(1);
  if (pattern == "/") return path.starts_with('/') || path == "*";
  if (pattern.ends_with('/')) return path.starts_with(pattern);
  return path == pattern || path.starts_with(pattern + "/");
}

bool takes(const config::Route& route, std::string_view host, std::string_view path,
           std::string_view method) {
  const auto& hosts = route.sni.empty() ? route.hosts : route.sni;
  const bool host_fits =
      hosts.empty() || std::ranges::any_of(hosts, [&](const std::string& pattern) {
        return takes_host(pattern, host);
      });
  const bool method_fits =
      route.methods.empty() || std::ranges::find(route.methods, method) != route.methods.end();
  return host_fits && method_fits && takes_path(route.path, path);
}

// Routes and requests out of so few words that they meet.
class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed) {
    const std::uint64_t routes = random_.bounded(30);
    for (std::uint64_t i = 0; i < routes; ++i) add();
  }

  [[nodiscard]] std::uint32_t found_one_by_one(std::string_view host, std::string_view path,
                                               std::string_view method) const {
    for (std::uint32_t i = 0; i < routes_.size(); ++i) {
      if (kept_[i] && takes(routes_[i], host, path, method)) return i;
    }
    return RouteIndex::kNone;
  }

  std::string host() {
    static constexpr const char* kOdd[] = {"", ".", "..", "[::1]", "c.", ".c", "..c", "a..c"};
    if (chance(8)) return kOdd[random_.bounded(std::size(kOdd))];
    std::string host = name();
    for (char& byte : host) {
      if (byte >= 'a' && byte <= 'z' && chance(3)) byte = static_cast<char>(byte - 'a' + 'A');
    }
    if (chance(8)) host += '.';
    if (chance(8)) host = "." + host;
    return host;
  }
  std::string path() {
    if (chance(10)) return "*";
    if (chance(30)) return "";
    std::string path;
    if (!routes_.empty() && chance(2)) {
      path = routes_[random_.bounded(routes_.size())].path;
      if (path.starts_with('=')) path.erase(0, 1);
    }
    if (path.empty() || chance(2)) path += segments();
    if (chance(8)) path.pop_back();
    return path;
  }
  std::string method() { return kMethods[random_.bounded(std::size(kMethods))]; }

  RouteIndex index;

 private:
  static constexpr const char* kMethods[] = {"GET", "PUT", "get", ""};

  bool chance(std::uint64_t one_in) { return random_.bounded(one_in) == 0; }

  std::string name() {
    static constexpr const char* kLabels[] = {"a", "b", "c", "ab", "a-b", "123456789"};
    std::string host = chance(2) ? "c" : "b.c";
    for (std::uint64_t i = random_.bounded(4); i > 0; --i) {
      host = std::string(kLabels[random_.bounded(std::size(kLabels))]) + "." + host;
    }
    return host;
  }
  std::string segments() {
    static constexpr const char* kSegments[] = {"",  "a",   "A",   "b",        "ab",
                                                "*", "%61", "a.b", "12345678", "123456789"};
    std::string path;
    for (std::uint64_t i = random_.bounded(4) + 1; i > 0; --i) {
      path += "/" + std::string(kSegments[random_.bounded(std::size(kSegments))]);
    }
    return path;
  }

  void add() {
    config::Route& route = routes_.emplace_back();
    auto& hosts = chance(10) ? route.sni : route.hosts;
    if (!chance(3)) {
      for (std::uint64_t i = random_.bounded(3) + 1; i > 0; --i) {
        hosts.push_back((chance(3) ? "*." : "") + name());
      }
    }
    if (!chance(3)) route.path = (chance(4) ? "=" : "") + segments();
    if (chance(3)) route.methods = {method()};
    if (chance(6)) route.methods.push_back(method());
    // Numbers may have gaps: of routes that belong to other listeners.
    kept_.push_back(!chance(8));
    if (kept_.back()) index.add(static_cast<std::uint32_t>(routes_.size() - 1), route);
  }

  Prng random_;
  std::vector<config::Route> routes_;
  std::vector<bool> kept_;
};

TEST(RouteIndex, FindsWhatTryingOneByOneFinds) {
  int hits = 0;
  int later = 0;  // Not the first route that there is.
  constexpr int kWorlds = 1'000;
  constexpr int kRequests = 100;
  for (int seed = 0; seed < kWorlds; ++seed) {
    World world(static_cast<std::uint64_t>(seed));
    for (int i = 0; i < kRequests; ++i) {
      const std::string host = world.host();
      const std::string path = world.path();
      const std::string method = world.method();
      const std::uint32_t expected = world.found_one_by_one(host, path, method);
      ASSERT_EQ(world.index.find(host, path, method), expected)
          << "seed " << seed << ", " << method << " " << host << " " << path;
      hits += expected != RouteIndex::kNone;
      later += expected != RouteIndex::kNone && expected > 4;
    }
  }
  EXPECT_GT(hits, kWorlds * kRequests / 3) << "the worlds have become too strange";
  EXPECT_GT(later, kWorlds * kRequests / 10);
}

config::Route route(const std::string& path, const std::string& method = {}) {
  config::Route made;
  made.path = path;
  if (!method.empty()) made.methods = {method};
  return made;
}

TEST(RouteIndex, NestedPathsKeepTheWrittenOrder) {
  constexpr std::uint32_t kDepth = 1'000;
  const std::string longest(kDepth, '/');
  RouteIndex narrow_first;
  RouteIndex wide_first;
  for (std::uint32_t i = 0; i < kDepth; ++i) {
    narrow_first.add(i, route(longest.substr(i), "PUT"));
    wide_first.add(i, route(longest.substr(0, i + 1), "PUT"));
  }
  narrow_first.add(kDepth, route("/"));
  EXPECT_EQ(narrow_first.find("a", longest, "PUT"), 0u);
  EXPECT_EQ(narrow_first.find("a", longest + "/x", "PUT"), 0u);
  EXPECT_EQ(narrow_first.find("a", "//x", "PUT"), kDepth - 2);
  EXPECT_EQ(narrow_first.find("a", longest, "GET"), kDepth);
  EXPECT_EQ(wide_first.find("a", longest, "PUT"), 0u);
  EXPECT_EQ(wide_first.find("a", longest, "GET"), RouteIndex::kNone);
}

TEST(RouteIndex, HostsOfAnyLengthAreRead) {
  RouteIndex index;
  config::Route below = route("/");
  below.hosts = {"*.example.com"};
  index.add(3, below);
  std::string dots;
  for (int i = 0; i < 9'000; ++i) dots += "a.";
  EXPECT_EQ(index.find(dots + "example.com", "/", "GET"), 3u);
  EXPECT_EQ(index.find(dots + "example.org", "/", "GET"), RouteIndex::kNone);
  EXPECT_EQ(index.find(std::string(9'000, 'a') + ".Example.com", "/", "GET"), 3u);
  EXPECT_EQ(index.find(std::string(9'000, '.'), "/", "GET"), RouteIndex::kNone);
}

TEST(RouteIndexDeathTest, RefusesAPathThatWasNotValidated) {
  RouteIndex index;
  EXPECT_DEATH(index.add(0, route("api")), "not validated");
  EXPECT_DEATH(index.add(0, route("=")), "not validated");
}

}  // namespace
}  // namespace weir::proxy
