// dma-bufs and udmabuf (linux/dma-buf.h, linux/udmabuf.h).
#ifndef MUNTIN_CLINUX_DMABUF_H
#define MUNTIN_CLINUX_DMABUF_H

#include <stddef.h>
#include <stdint.h>

/// 1 when the descriptor is a dma-buf.
int muntin_is_dma_buf(int fd);
/// DMA_BUF_IOCTL_SYNC: begins or ends reading by the processor. Retried when interrupted.
int muntin_dma_buf_sync(int fd, int begins);

/// As struct udmabuf_create_item.
struct muntin_udmabuf_item {
  uint32_t memfd;
  uint32_t padding;
  uint64_t offset;
  uint64_t size;
};
/// UDMABUF_CREATE_LIST with close-on-exec: a dma-buf of these pages, or negative with errno.
int muntin_udmabuf_create(int device, const struct muntin_udmabuf_item *items, uint32_t count);

#endif
