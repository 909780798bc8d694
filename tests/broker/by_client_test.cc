#include "broker/by_client.h"

#include <catch2/catch.hpp>

namespace millrace {
namespace {

struct Item {
  ClientKey key;
  int* alive;
  Item(ClientHandle client, std::uint64_t id, int* counted) : key{client, id}, alive(counted) {
    ++*alive;
  }
  Item(const Item&) = delete;
  Item& operator=(const Item&) = delete;
  ~Item() { --*alive; }
};

constexpr ClientHandle alice{1}, bob{2};

struct Fixture {
  void add(ClientHandle client, std::uint64_t id) {
    items.add(std::make_unique<Item>(client, id, &alive));
  }
  int alive = 0;  // outlives the table
  ByClient<Item> items;
};

TEST_CASE("an item is known by its client and number, and counted by client") {
  Fixture f;
  f.add(alice, 7);
  f.add(alice, 8);
  f.add(bob, 7);
  CHECK(f.items.size() == 3);
  CHECK(f.items.count_of(alice) == 2);
  CHECK(f.items.count_of(bob) == 1);
  CHECK(f.items.count_of(ClientHandle{3}) == 0);
  CHECK(f.items.contains({bob, 7}));
  CHECK_FALSE(f.items.contains({bob, 8}));
  REQUIRE(f.items.find({alice, 8}) != nullptr);
  CHECK(f.items.find({alice, 8})->key.id == 8);
  CHECK(f.items.find({bob, 8}) == nullptr);
}

TEST_CASE("what was buried is out of the table and lives until it is tidied") {
  Fixture f;
  f.add(alice, 7);
  Item& item = *f.items.find({alice, 7});
  f.items.bury(item);
  CHECK(f.items.size() == 0);
  CHECK(f.items.count_of(alice) == 0);
  CHECK(item.key.id == 7);
  CHECK(f.alive == 1);
  f.add(alice, 7);  // the number is free again
  f.items.tidy();
  CHECK(f.alive == 1);
  CHECK(f.items.contains({alice, 7}));
}

TEST_CASE("each item of all or of one client may be buried as it is visited") {
  Fixture f;
  for (std::uint64_t id = 0; id < 10; ++id) {
    f.add(alice, id);
    f.add(bob, id);
  }
  std::size_t seen = 0;
  f.items.for_each([&](Item& item) {
    ++seen;
    if (item.key.id % 2 == 0) f.items.bury(item);
  });
  CHECK(seen == 20);
  CHECK(f.items.size() == 10);
  f.items.for_each_of(alice, [&](Item& item) {
    CHECK(item.key.client == alice);
    f.items.bury(item);
  });
  CHECK(f.items.count_of(alice) == 0);
  CHECK(f.items.count_of(bob) == 5);
  f.items.tidy();
  CHECK(f.alive == 5);
}

}  // namespace
}  // namespace millrace
