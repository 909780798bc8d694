#include "storage/io/errno_map.h"

#include <catch2/catch.hpp>

#include <cerrno>

using namespace millrace;

TEST_CASE("ST-12 ST-13 no space, no quota and no file size left are storage_full") {
  for (const int error : {ENOSPC, EDQUOT, EFBIG})
    CHECK(errc_from_errno(error) == Errc::storage_full);
}

TEST_CASE("missing and taken names have codes of their own, all else is storage_error") {
  CHECK(errc_from_errno(ENOENT) == Errc::not_found);
  CHECK(errc_from_errno(EEXIST) == Errc::already_exists);
  for (const int error : {EIO, EINVAL, ECANCELED, EROFS, EACCES, ELOOP, 4000}) {
    CHECK(errc_from_errno(error) == Errc::storage_error);
  }
  for (const int error : {EMFILE, ENFILE}) CHECK(errc_from_errno(error) == Errc::overloaded);
}

TEST_CASE("an error's text has the call, the file and the system's words") {
  CHECK(error_from_errno(EIO, "write", "a/b at 4096").text ==
        "write a/b at 4096: Input/output error (EIO)");
  CHECK(error_from_errno(4000, "read", "x").text.find("read x: ") == 0);
}

TEST_CASE("ST-19 interrupted calls are made again, but not for ever") {
  int calls = 0;
  CHECK(retry_transient([&] {
          errno = EINTR;
          return ++calls < 5 ? -1 : 7;
        }) == 7);
  CHECK(calls == 5);
  calls = 0;
  CHECK(retry_transient([&] {
          ++calls;
          errno = EAGAIN;
          return -1;
        }) == -1);
  CHECK(calls == 1 + transient_retries_max);
  calls = 0;
  CHECK(retry_transient([&] {
          ++calls;
          errno = EIO;
          return -1;
        }) == -1);
  CHECK(calls == 1);
}
