// Batch bodies, compressed by the producer and undone by the reader. zstd: one frame with its
// content size. lz4: one block.
//
// Thread: one thread per object; the contexts are reused from batch to batch.
// Fails: decompress refuses what would not be exactly `raw_bytes`; it never writes past them, never
// allocates by a number that was not checked against `raw_bytes_max` first.
#pragma once

#include "storage/base/bytes.h"
#include "storage/base/result.h"
#include "storage/format/batch.h"

#include <cstdint>
#include <memory>

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace millrace::detail {

// The largest output of compress for `raw_bytes` of input.
std::size_t compressed_bytes_max(Codec codec, std::size_t raw_bytes);

class Compressor {
 public:
  Compressor();
  ~Compressor();
  // Answers the size; 0 when the codec failed or did not make it smaller, then the body goes as it
  // is.
  std::size_t compress(Codec codec, ByteView body, MutableBytes out);

 private:
  struct Free {
    void operator()(ZSTD_CCtx_s* context) const;
  };
  std::unique_ptr<ZSTD_CCtx_s, Free> context_;
};

class Decompressor {
 public:
  Decompressor();
  ~Decompressor();
  // The body of `batch` as its producer built it; the view lives until the next call, or as long as
  // `batch` if it was not compressed. Errors: too_large (declared size above raw_bytes_max),
  // corrupt.
  Result<ByteView> body(const BatchView& batch, std::uint32_t raw_bytes_max);

 private:
  Result<void> decompress(Codec codec, ByteView body, std::size_t raw_bytes);
  struct Free {
    void operator()(ZSTD_DCtx_s* context) const;
  };
  std::unique_ptr<ZSTD_DCtx_s, Free> context_;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t buffer_bytes_ = 0;
};

}  // namespace millrace::detail
