// Orders of several customers, in order per customer: keyed_orders TOPIC [ENDPOINT]
//
// Events with the same key go to the same partition, and a partition keeps its order. The fate of a
// single event is what its Delivery says; a retry inside the library never makes a duplicate.
#include "arguments.h"

#include <millrace/millrace.h>

#include <iostream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  const Arguments arguments = parse_arguments(argc, argv, "keyed_orders TOPIC [ENDPOINT]");
  auto client = millrace::Client::connect(arguments.options);
  if (!client) {
    std::cerr << client.error().to_string() << '\n';
    return 1;
  }
  auto producer = millrace::Producer::open(*client, arguments.topic);
  if (!producer) {
    std::cerr << producer.error().to_string() << '\n';
    return 1;
  }

  std::vector<millrace::Delivery> deliveries;
  for (int order = 0; order < 12; ++order) {
    const std::string customer = "customer-" + std::to_string(order % 3);
    const std::string body = R"({"order":)" + std::to_string(order) + "}";
    const millrace::HeaderField headers[] = {{"content-type", "application/json"}};
    millrace::Event event;
    event.key = customer;
    event.payload = body;
    event.headers = headers;
    auto sent = producer->send(event);
    if (!sent) {
      std::cerr << sent.error().to_string() << '\n';
      return 1;
    }
    deliveries.push_back(*sent);
  }
  for (const auto& delivery : deliveries) {
    const auto receipt = delivery.wait();
    if (!receipt) {
      std::cerr << receipt.error().to_string() << '\n';
      return 1;
    }
    std::cout << "partition " << receipt->partition << " offset " << *receipt->offset << '\n';
  }
  return 0;
}
