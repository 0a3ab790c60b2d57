// The messages that are parsed and written here.
#pragma once

#include <string_view>

namespace weir::bench {

// As curl asks, and as a small service answers.
inline constexpr std::string_view kSmallRequest =
    "GET /hello HTTP/1.1\r\n"
    "Host: localhost\r\n"
    "User-Agent: curl/7.88.1\r\n"
    "Accept: */*\r\n\r\n";
inline constexpr std::string_view kSmallResponse =
    "HTTP/1.1 200 OK\r\n"
    "Server: small\r\n"
    "Content-Type: text/plain\r\n"
    "Content-Length: 6\r\n\r\n";

// As a browser asks, and as a site answers.
inline constexpr std::string_view kLargeRequest =
    "GET /articles/2026/11/a-quiet-evening?page=2&sort=newest HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8\r\n"
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Referer: http://www.example.com/articles/2026/11/\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: session=9f2c1b7ae04d4e3c8a51; theme=dark; seen=1-2-3-5-8-13-21; consent=all\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "If-Modified-Since: Fri, 20 Nov 2026 08:15:00 GMT\r\n"
    "If-None-Match: \"5e1f-63b0c2d4\"\r\n"
    "Cache-Control: max-age=0\r\n\r\n";
inline constexpr std::string_view kLargeResponse =
    "HTTP/1.1 200 OK\r\n"
    "Date: Sat, 21 Nov 2026 10:00:00 GMT\r\n"
    "Server: site/4.2\r\n"
    "Last-Modified: Fri, 20 Nov 2026 08:15:00 GMT\r\n"
    "ETag: \"5e1f-63b0c2d4\"\r\n"
    "Content-Type: text/html; charset=utf-8\r\n"
    "Content-Length: 24095\r\n"
    "Cache-Control: public, max-age=600\r\n"
    "Vary: Accept-Encoding\r\n"
    "Set-Cookie: seen=1-2-3-5-8-13-21-34; Path=/; Max-Age=2592000; SameSite=Lax\r\n"
    "X-Request-Id: 0b7c9c3e-5a51-4c1e-9a3f-2f6f0f1f7a10\r\n\r\n";

}  // namespace weir::bench
