/* The whole library in one header; each part can be included alone. testing.h, for tests,
 * is not in it. */
#ifndef ASYNCNET_ASYNCNET_H
#define ASYNCNET_ASYNCNET_H

#include <asyncnet/api.h>
#include <asyncnet/combine.h>
#include <asyncnet/error.h>
#include <asyncnet/fd.h>
#include <asyncnet/file.h>
#include <asyncnet/http.h>
#include <asyncnet/http_client.h>
#include <asyncnet/inspect.h>
#include <asyncnet/log.h>
#include <asyncnet/loop.h>
#include <asyncnet/net.h>
#include <asyncnet/offload.h>
#include <asyncnet/path.h>
#include <asyncnet/pg.h>
#include <asyncnet/process.h>
#include <asyncnet/signal.h>
#include <asyncnet/stream.h>
#include <asyncnet/sync.h>
#include <asyncnet/task.h>
#include <asyncnet/time.h>
#include <asyncnet/tls.h>
#include <asyncnet/trace.h>
#include <asyncnet/udp.h>
#include <asyncnet/ws.h>

#endif
