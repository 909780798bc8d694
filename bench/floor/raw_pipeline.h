// The raw durable pipeline: what a broker does for a produce, and nothing more.
//
//   DEALER thread, at most W batches unacked
//     -> tcp -> ROUTER thread: receive, copy into an aligned slab; one synced direct write of all
//     that has gathered is in flight; when it has ended, each batch in it is acked and what
//     gathered meanwhile leaves with the next write
//   <- ack <-
//
// Two threads (and libzmq's one), as producer and broker on one machine. The write waits in the
// ring, the socket's descriptor is polled by the same ring: no busy loop.
#pragma once

#include "bench/floor/cell.h"
#include "bench/floor/raw_disk.h"

namespace millrace::floor {

Cell measure_pipeline(const Options& options, std::size_t batch_bytes, std::size_t in_flight,
                      Blocks blocks);

}  // namespace millrace::floor
