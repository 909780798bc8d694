// What the examples have in common: PROGRAM TOPIC [ENDPOINT [COUNT]]. Without an endpoint it is
// that of the variable MILLRACE_BROKER, as for the command line, or else tcp://127.0.0.1:7711.
#pragma once

#include <millrace/millrace.h>

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

struct Arguments {
  std::string topic;
  millrace::ClientOptions options;
  std::uint64_t count = 0;  // 0: was not given
};

// Ends the program with 2 and the usage when the arguments are none. `last`: how many there may be.
inline Arguments parse_arguments(int argc, char** argv, std::string_view usage, int last = 2) {
  const auto refuse = [usage](std::string_view why) {
    std::cerr << why << "usage: " << usage << '\n';
    std::exit(2);
  };
  if (argc < 2 || argc > last + 1 || *argv[1] == '-') refuse("");
  Arguments arguments;
  arguments.topic = argv[1];
  std::string& endpoint = arguments.options.endpoint;
  const char* variable = std::getenv("MILLRACE_BROKER");
  if (variable != nullptr && *variable != 0) endpoint = variable;
  if (argc > 2) endpoint = argv[2];
  if (endpoint.find("://") == std::string::npos)
    refuse("'" + endpoint + "' is not an endpoint like tcp://127.0.0.1:7711\n");
  if (argc > 3) {
    const std::string_view text = argv[3];
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), arguments.count);
    if (error != std::errc{} || end != text.data() + text.size() || arguments.count == 0)
      refuse("'" + std::string(text) + "' is not a number of events, from 1 on\n");
  }
  // Requests wait for a broker as long as options.timeout says: here a person is told why.
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(arguments.options.timeout);
  arguments.options.on_unreachable = [endpoint, seconds = seconds.count()] {
    std::cerr << "no broker answers at " << endpoint << "; waiting up to " << seconds
              << " s for one. Start it: millraced --data-dir ./millrace-data\n";
  };
  return arguments;
}
