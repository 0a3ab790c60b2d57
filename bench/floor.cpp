// floor: the least that any proxy does. One thread, edge-triggered epoll, recv, send, recv, send.
//
//   floor [--defer] [--workers N] [--port N] ORIGIN_PORT
//
// It does not parse. Against this weir's promise is measured (CPU per request within 1.10x). It
// handles what keeps bytes from being lost (partial sends, half-close, hang-ups) and nothing else.
#include "copy.h"

int main(int argc, char** argv) { weir::bench::relay_main<weir::bench::Copy>("floor", argc, argv); }
