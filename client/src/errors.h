// How this library makes a ClientError: one place for codes, names and origins.
#pragma once

#include "millrace/error.h"
#include "storage/base/result.h"

#include <expected>
#include <string>

namespace millrace::detail {

inline Errc code_of(const ClientError& error) { return static_cast<Errc>(error.code); }

// An error that arose here, not in the broker.
ClientError client_error(Errc code, std::string text);
// An error as the broker answered it; a number this library does not know keeps its number.
ClientError broker_error(std::uint16_t code, std::string text, std::uint64_t range_begin,
                         std::uint64_t range_end);
ClientError client_error(const Error& error);

inline std::unexpected<ClientError> refuse(Errc code, std::string text) {
  return std::unexpected<ClientError>(client_error(code, std::move(text)));
}
inline std::unexpected<ClientError> refuse(ClientError error) {
  return std::unexpected<ClientError>(std::move(error));
}

// A reply that verifies but is of another kind than the request asks for.
inline std::unexpected<ClientError> unexpected_reply(const char* request) {
  return refuse(Errc::bad_request,
                std::string("the broker answered ") + request + " with a reply of another kind");
}

}  // namespace millrace::detail
