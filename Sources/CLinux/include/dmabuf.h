// dma-bufs and udmabuf (linux/dma-buf.h, linux/udmabuf.h, linux/dma-heap.h).
#ifndef MUNTIN_CLINUX_DMABUF_H
#define MUNTIN_CLINUX_DMABUF_H

#include <stddef.h>
#include <stdint.h>

/// The size of the pages that a file's memory is made of: those of hugetlbfs are larger than others; 0 on error.
long muntin_page_size_of(int fd);

/// 1 when the descriptor is a dma-buf.
int muntin_is_dma_buf(int fd);
/// DMA_BUF_IOCTL_SYNC: begins or ends reading, or reading and writing, by the processor. Retried when interrupted.
int muntin_dma_buf_sync(int fd, int begins, int writes);

/// As struct udmabuf_create_item.
struct muntin_udmabuf_item {
  uint32_t memfd;
  uint32_t padding;
  uint64_t offset;
  uint64_t size;
};
/// UDMABUF_CREATE_LIST with close-on-exec: a dma-buf of these pages, or negative with errno.
int muntin_udmabuf_create(int device, const struct muntin_udmabuf_item *items, uint32_t count);

/// DMA_HEAP_IOCTL_ALLOC, close-on-exec, for reading and writing: a dma-buf, or negative with errno.
int muntin_dma_heap_allocate(int heap, uint64_t size);

/// DRM_IOCTL_PRIME_HANDLE_TO_FD, close-on-exec, for reading and writing: a dma-buf of a card's buffer, or negative with errno.
int muntin_prime_export(int card, uint32_t handle);

#endif
