#include "broker/wire/listen_error.h"

#include <catch2/catch.hpp>
#include <zmq.h>

#include <cerrno>

namespace millrace {
namespace {

TEST_CASE("what keeps an endpoint from being listened on is one line with what to do") {
  struct Row {
    const char* endpoint;
    int error;
    Errc code;
    const char* advice;
  };
  for (const Row& row :
       {Row{"tcp://127.0.0.1:7711", EADDRINUSE, Errc::bad_state, "choose another port"},
        Row{"tcp://10.9.9.9:1", EADDRNOTAVAIL, Errc::bad_state, "one of its own"},
        Row{"tcp://127.0.0.1:80", EACCES, Errc::bad_state, "below 1024"},
        Row{"ipc:///root/x", EACCES, Errc::bad_state, "let the user of the broker write"},
        Row{"ipc:///no/such/place", ENOENT, Errc::bad_state, "make the directory"},
        Row{"tcp://[::1]:1", EAFNOSUPPORT, Errc::bad_state, "IPv4"},
        Row{"http 127.0.0.1:1", 0, Errc::bad_state, "choose another"},
        Row{"tcp://x y:1", EINVAL, Errc::bad_config, "choose another"}}) {
    const Error error = listen_error(row.endpoint, row.error, "the reason");
    INFO(error.text);
    CHECK(error.code == row.code);
    CHECK(
        error.text.starts_with(std::string("cannot listen on ") + row.endpoint + ": the reason; "));
    CHECK(error.text.find(row.advice) != std::string::npos);
    CHECK(error.text.find('\n') == std::string::npos);
  }
}

TEST_CASE("a host name that nobody knows is not told as a device that is missing") {
  const Error error = listen_error("tcp://no.such.host:1", ENODEV, "No such device");
  CHECK(error.code == Errc::bad_config);
  CHECK(error.text ==
        "cannot listen on tcp://no.such.host:1: the name does not resolve to an address of this "
        "machine; listen on an address, a host name or a network interface of its own");
}

}  // namespace
}  // namespace millrace
