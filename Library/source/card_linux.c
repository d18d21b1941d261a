#define _GNU_SOURCE
#include "card.h"
#include "system.h"

#if MUNTIN_SYSTEM_LINUX

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* drm.h and virtgpu_drm.h of Linux 5.16, as far as they are needed: older systems do not have all of it. */
struct version {
  int major, minor, patch;
  size_t name_length;
  char *name;
  size_t date_length;
  char *date;
  size_t description_length;
  char *description;
};
struct parameter {
  uint64_t number, value;
};
struct capset {
  uint32_t id, version;
  uint64_t address;
  uint32_t size, zero;
};
struct context {
  uint32_t count, zero;
  uint64_t parameters;
};
struct create_blob {
  uint32_t memory, flags, handle, resource;
  uint64_t size;
  uint32_t zero, command_size;
  uint64_t command, number;
};
struct resource {
  uint32_t handle, resource, size, memory;
};
struct map {
  uint64_t offset;
  uint32_t handle, zero;
};
struct prime {
  uint32_t handle, flags;
  int32_t fd;
};
struct closing {
  uint32_t handle, zero;
};
struct submission {
  uint32_t flags, size;
  uint64_t commands, handles;
  uint32_t handle_count;
  int32_t fence;
  uint32_t ring, sync_stride, in_syncs, out_syncs;
  uint64_t in_sync_array, out_sync_array;
};

#define CORE(number, type) _IOWR('d', number, struct type)
#define DRIVER(number, type) _IOWR('d', 0x40 + (number), struct type)

enum {
  PARAMETER_BLOBS = 3,
  PARAMETER_HOST_VISIBLE = 4,
  PARAMETER_CONTEXTS = 6,
  PARAMETER_CAPSETS = 7,
  CONTEXT_CAPSET = 1,
  CONTEXT_RINGS = 2,
  CONTEXT_POLLED_RINGS = 3,
  SUBMIT_WITH_RING = 4,
  BLOB_OF_GUEST = 1,
  BLOB_OF_HOST = 2,
  BLOB_MAPPABLE = 1,
  BLOB_SHAREABLE = 2
};

enum { CROSS_DOMAIN = 5, CHANNEL_RING = 1, HUB_CHANNEL = 24, FIRST_NODE = 128, NODE_COUNT = 64 };

static int request(int card, unsigned long code, void *argument) {
  int result;
  do result = ioctl(card, code, argument);
  while (result < 0 && (errno == EINTR || errno == EAGAIN));
  return result < 0 ? -errno : 0;
}

/* ---- Opening ---- */

static bool is_virtio_gpu(int card) {
  char name[32] = "";
  struct version version = {.name = name, .name_length = sizeof name - 1};
  return request(card, CORE(0x00, version), &version) == 0 && strcmp(name, "virtio_gpu") == 0;
}

static uint64_t parameter(int card, uint64_t number) {
  uint64_t value = 0;
  struct parameter question = {.number = number, .value = (uintptr_t)&value};
  return request(card, DRIVER(0x03, parameter), &question) == 0 ? value : 0;
}

/* The capability set: version, one bit for each type of channel, two words more. */
static bool has_hub_channel(int card) {
  uint32_t contents[4] = {0};
  struct capset question = {.id = CROSS_DOMAIN, .address = (uintptr_t)contents, .size = sizeof contents};
  bool is_able = parameter(card, PARAMETER_BLOBS) == 1 && parameter(card, PARAMETER_HOST_VISIBLE) == 1 &&
                 parameter(card, PARAMETER_CONTEXTS) == 1 &&
                 (parameter(card, PARAMETER_CAPSETS) >> CROSS_DOMAIN & 1) != 0;
  return is_able && request(card, DRIVER(0x09, capset), &question) == 0 && (contents[1] >> HUB_CHANNEL & 1) != 0;
}

static int open_one(const char *path) {
  int card = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (card < 0) return -errno;
  if (is_virtio_gpu(card) && has_hub_channel(card)) return card;
  close(card);
  return -ENOENT;
}

int muntin__open_card(const char *path) {
  int failure = -ENOENT;
  if (path[0] != 0) return open_one(path);
  for (int node = FIRST_NODE; node < FIRST_NODE + NODE_COUNT; node++) {
    char name[32];
    snprintf(name, sizeof name, "/dev/dri/renderD%d", node);
    int card = open_one(name);
    if (card >= 0) return card;
    if (card != -ENOENT) failure = card;
  }
  return failure;
}

/* ---- The context ---- */

int muntin__start_context(int card) {
  struct parameter parameters[] = {
      {CONTEXT_CAPSET, CROSS_DOMAIN}, {CONTEXT_RINGS, 2}, {CONTEXT_POLLED_RINGS, 1 << CHANNEL_RING}};
  struct context context = {.count = 3, .parameters = (uintptr_t)parameters};
  return request(card, DRIVER(0x0b, context), &context);
}

int muntin__submit(int card, const void *commands, size_t size, bool is_polled) {
  struct submission submission = {.size = (uint32_t)size, .commands = (uintptr_t)commands, .fence = -1};
  if (is_polled) {
    submission.flags = SUBMIT_WITH_RING;
    submission.ring = CHANNEL_RING;
  }
  return request(card, DRIVER(0x02, submission), &submission);
}

int muntin__take_event(int card) {
  char events[1024];
  ssize_t count;
  do count = read(card, events, sizeof events);
  while (count < 0 && errno == EINTR);
  return count > 0 ? 0 : count == 0 ? -EIO : -errno;
}

/* ---- Blobs ---- */

static int make(int card, struct create_blob *create, struct blob *blob) {
  int result = request(card, DRIVER(0x0a, create_blob), create);
  *blob = (struct blob){create->handle, create->resource};
  return result;
}

int muntin__make_guest_blob(int card, size_t size, struct blob *blob) {
  struct create_blob create = {.memory = BLOB_OF_GUEST, .flags = BLOB_MAPPABLE, .size = size};
  return make(card, &create, blob);
}

int muntin__make_host_blob(int card, size_t size, uint64_t number, struct blob *blob) {
  struct create_blob create = {
      .memory = BLOB_OF_HOST, .flags = BLOB_MAPPABLE | BLOB_SHAREABLE, .size = size, .number = number};
  return make(card, &create, blob);
}

int muntin__map_blob(int card, const struct blob *blob, size_t size, int protection, void **bytes) {
  struct map map = {.handle = blob->handle};
  int result = request(card, DRIVER(0x01, map), &map);
  if (result < 0) return result;
  void *mapping = mmap(NULL, size, protection, MAP_SHARED, card, (off_t)map.offset);
  /* The kernel learns only now that the host refused the blob. */
  if (mapping == MAP_FAILED) return errno == EINVAL ? -ENOMEM : -errno;
  *bytes = mapping;
  return 0;
}

int muntin__export_blob(int card, const struct blob *blob) {
  struct prime prime = {.handle = blob->handle, .flags = O_CLOEXEC | O_RDWR, .fd = -1};
  int result = request(card, CORE(0x2d, prime), &prime);
  return result < 0 ? result : prime.fd;
}

int muntin__import_blob(int card, int fd, struct blob *blob) {
  struct prime prime = {.fd = fd};
  int result = request(card, CORE(0x2e, prime), &prime);
  if (result < 0) return result;
  struct resource resource = {.handle = prime.handle};
  result = request(card, DRIVER(0x05, resource), &resource);
  *blob = (struct blob){prime.handle, resource.resource};
  if (result == 0 && resource.memory == BLOB_OF_HOST) return 0;
  muntin__forget_blob(card, blob);
  return result < 0 ? result : -EINVAL;
}

void muntin__forget_blob(int card, const struct blob *blob) {
  struct closing closing = {.handle = blob->handle};
  request(card, _IOW('d', 0x09, struct closing), &closing);
}

#else
typedef int muntin__no_empty_card_file;
#endif
