#include "millrace/error.h"

#include "errors.h"

namespace millrace {

std::string ClientError::to_string() const {
  std::string out = name;
  out += origin == Origin::client ? " (client)" : " (broker)";
  if (!text.empty()) out += ": " + text;
  return out;
}

namespace detail {

ClientError client_error(Errc code, std::string text) {
  ClientError error;
  error.code = static_cast<std::uint16_t>(code);
  error.name = errc_name(code);
  error.origin = Origin::client;
  error.text = std::move(text);
  error.can_retry = errc_can_retry(code);
  return error;
}

ClientError client_error(const Error& error) {
  ClientError out = client_error(error.code, error.text);
  out.range_begin = error.range_begin;
  out.range_end = error.range_end;
  return out;
}

ClientError broker_error(std::uint16_t code, std::string text, std::uint64_t range_begin,
                         std::uint64_t range_end) {
  ClientError error = client_error(static_cast<Errc>(code), std::move(text));
  error.origin = Origin::broker;
  error.range_begin = range_begin;
  error.range_end = range_end;
  return error;
}

}  // namespace detail
}  // namespace millrace
