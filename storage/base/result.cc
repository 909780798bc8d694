#include "storage/base/result.h"

namespace millrace {

std::string_view errc_name(Errc code) {
  switch (code) {
    case Errc::ok: return "ok";
    case Errc::bad_request: return "bad_request";
    case Errc::unsupported: return "unsupported";
    case Errc::too_large: return "too_large";
    case Errc::bad_batch: return "bad_batch";
    case Errc::bad_state: return "bad_state";
    case Errc::shutting_down: return "shutting_down";
    case Errc::overloaded: return "overloaded";
    case Errc::timed_out: return "timed_out";
    case Errc::unknown_topic: return "unknown_topic";
    case Errc::unknown_partition: return "unknown_partition";
    case Errc::topic_exists: return "topic_exists";
    case Errc::bad_topic_name: return "bad_topic_name";
    case Errc::bad_setting: return "bad_setting";
    case Errc::offset_out_of_range: return "offset_out_of_range";
    case Errc::out_of_order: return "out_of_order";
    case Errc::sequence_conflict: return "sequence_conflict";
    case Errc::fenced: return "fenced";
    case Errc::unknown_producer: return "unknown_producer";
    case Errc::sequence_expired: return "sequence_expired";
    case Errc::storage_full: return "storage_full";
    case Errc::storage_error: return "storage_error";
    case Errc::corrupt: return "corrupt";
    case Errc::read_only: return "read_only";
    case Errc::data_dir_in_use: return "data_dir_in_use";
    case Errc::data_dir_refused: return "data_dir_refused";
    case Errc::not_found: return "not_found";
    case Errc::already_exists: return "already_exists";
    case Errc::segment_full: return "segment_full";
    case Errc::io_retry: return "io_retry";
    case Errc::cancelled: return "cancelled";
    case Errc::disconnected: return "disconnected";
    case Errc::closed: return "closed";
    case Errc::bad_config: return "bad_config";
    case Errc::bad_usage: return "bad_usage";
  }
  return "unknown_error";
}

bool errc_can_retry(Errc code) {
  switch (code) {
    case Errc::shutting_down:
    case Errc::overloaded:
    case Errc::timed_out:
    case Errc::storage_full:
    case Errc::out_of_order:
    case Errc::disconnected:
    case Errc::io_retry: return true;
    default: return false;
  }
}

std::string Error::to_string() const {
  std::string out{errc_name(code)};
  if (!text.empty()) {
    out += ": ";
    out += text;
  }
  return out;
}

}  // namespace millrace
