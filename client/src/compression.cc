#include "compression.h"

#include <fmt/core.h>
#include <lz4.h>
#include <zstd.h>

#include <algorithm>

namespace millrace::detail {
namespace {

constexpr int zstd_level = 3;
// 2^26 = 64 MiB, the largest body. Output goes straight into a buffer of the checked size, so a
// frame cannot make the decoder allocate a window; the limit stands for the day when somebody
// streams.
constexpr int zstd_window_log_max = 26;

const char* chars(ByteView bytes) { return reinterpret_cast<const char*>(bytes.data()); }

}  // namespace

std::size_t compressed_bytes_max(Codec codec, std::size_t raw_bytes) {
  switch (codec) {
    case Codec::none: return raw_bytes;
    case Codec::zstd: return ZSTD_compressBound(raw_bytes);
    case Codec::lz4:
      return static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(raw_bytes)));
  }
  return raw_bytes;
}

void Compressor::Free::operator()(ZSTD_CCtx_s* context) const { ZSTD_freeCCtx(context); }
Compressor::Compressor() = default;
Compressor::~Compressor() = default;

std::size_t Compressor::compress(Codec codec, ByteView body, MutableBytes out) {
  std::size_t size = 0;
  if (codec == Codec::zstd) {
    if (!context_) context_.reset(ZSTD_createCCtx());
    if (!context_) return 0;
    size = ZSTD_compressCCtx(context_.get(), out.data(), out.size(), body.data(), body.size(),
                             zstd_level);
    if (ZSTD_isError(size)) return 0;
  } else if (codec == Codec::lz4) {
    const int written =
        LZ4_compress_default(chars(body), reinterpret_cast<char*>(out.data()),
                             static_cast<int>(body.size()), static_cast<int>(out.size()));
    size = written > 0 ? static_cast<std::size_t>(written) : 0;
  }
  // Readers refuse a batch that claims to grow beyond the ratio limit, so such a body goes as it
  // is.
  const bool too_dense = body.size() / batch_layout::compression_ratio_limit >= size;
  return size >= body.size() || too_dense ? 0 : size;
}

void Decompressor::Free::operator()(ZSTD_DCtx_s* context) const { ZSTD_freeDCtx(context); }
Decompressor::Decompressor() = default;
Decompressor::~Decompressor() = default;

Result<ByteView> Decompressor::body(const BatchView& batch, std::uint32_t raw_bytes_max) {
  const BatchHeader& header = batch.header();
  if (header.raw_bytes > raw_bytes_max)
    return fail(
        Errc::too_large,
        fmt::format("a batch of {} bytes after decompression is above the reader's limit of {}",
                    header.raw_bytes, raw_bytes_max));
  if (header.codec == Codec::none) return batch.body();
  if (buffer_bytes_ < header.raw_bytes) {
    buffer_ = std::make_unique_for_overwrite<std::byte[]>(header.raw_bytes);
    buffer_bytes_ = header.raw_bytes;
  }
  if (auto done = decompress(header.codec, batch.body(), header.raw_bytes); !done)
    return fail(done.error());
  return ByteView{buffer_.get(), header.raw_bytes};
}

Result<void> Decompressor::decompress(Codec codec, ByteView body, std::size_t raw_bytes) {
  if (codec == Codec::lz4) {
    const int size =
        LZ4_decompress_safe(chars(body), reinterpret_cast<char*>(buffer_.get()),
                            static_cast<int>(body.size()), static_cast<int>(raw_bytes));
    if (size < 0 || static_cast<std::size_t>(size) != raw_bytes)
      return fail(Errc::corrupt,
                  fmt::format("the lz4 body is not the {} bytes that its header says", raw_bytes));
    return {};
  }
  if (!context_) {
    context_.reset(ZSTD_createDCtx());
    if (!context_) return fail(Errc::overloaded, "no memory for a zstd context");
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, zstd_window_log_max);
  }
  const unsigned long long declared = ZSTD_getFrameContentSize(body.data(), body.size());
  if (declared != raw_bytes)
    return fail(
        Errc::corrupt,
        fmt::format("the zstd frame does not say the {} bytes that its header says", raw_bytes));
  const std::size_t size =
      ZSTD_decompressDCtx(context_.get(), buffer_.get(), raw_bytes, body.data(), body.size());
  if (ZSTD_isError(size) || size != raw_bytes)
    return fail(Errc::corrupt,
                fmt::format("the zstd body is not the {} bytes that its header says", raw_bytes));
  return {};
}

}  // namespace millrace::detail
