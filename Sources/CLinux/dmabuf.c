// dma-bufs and udmabuf: the calls, and the struct that has an array at its end.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/magic.h>
#include <linux/udmabuf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "CLinux.h"

#ifndef DMA_BUF_MAGIC
#define DMA_BUF_MAGIC 0x444d4142
#endif

_Static_assert(sizeof(struct muntin_udmabuf_item) == sizeof(struct udmabuf_create_item), "udmabuf_create_item");

long muntin_page_size_of(int fd) {
  struct statfs status;
  if (fstatfs(fd, &status) < 0) return 0;
  return (unsigned long)status.f_type == HUGETLBFS_MAGIC ? (long)status.f_bsize : sysconf(_SC_PAGESIZE);
}

int muntin_is_dma_buf(int fd) {
  struct statfs status;
  return fstatfs(fd, &status) == 0 && (unsigned long)status.f_type == DMA_BUF_MAGIC;
}

int muntin_dma_buf_sync(int fd, int begins, int writes) {
  struct dma_buf_sync sync = {.flags = (writes ? DMA_BUF_SYNC_RW : DMA_BUF_SYNC_READ) |
                                       (begins ? DMA_BUF_SYNC_START : DMA_BUF_SYNC_END)};
  int result;
  do {
    result = ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync);
  } while (result < 0 && (errno == EINTR || errno == EAGAIN));
  return result;
}

int muntin_udmabuf_create(int device, const struct muntin_udmabuf_item *items, uint32_t count) {
  struct udmabuf_create_list *list = malloc(sizeof *list + (size_t)count * sizeof *items);
  if (list == NULL) return -1;
  list->flags = UDMABUF_FLAGS_CLOEXEC;
  list->count = count;
  memcpy(list->list, items, (size_t)count * sizeof *items);
  int buffer = ioctl(device, UDMABUF_CREATE_LIST, list);
  int error = errno;
  free(list);
  errno = error;
  return buffer;
}

int muntin_dma_heap_allocate(int heap, uint64_t size) {
  struct dma_heap_allocation_data request = {.len = size, .fd_flags = O_RDWR | O_CLOEXEC};
  if (ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &request) < 0) return -1;
  return (int)request.fd;
}

// As struct drm_prime_handle of drm.h, which is in no package that is needed otherwise.
struct prime_handle {
  uint32_t handle;
  uint32_t flags;
  int32_t fd;
};

int muntin_prime_export(int card, uint32_t handle) {
  struct prime_handle request = {.handle = handle, .flags = O_RDWR | O_CLOEXEC, .fd = -1};
  if (ioctl(card, _IOWR('d', 0x2d, struct prime_handle), &request) < 0) return -1;
  return request.fd;
}
