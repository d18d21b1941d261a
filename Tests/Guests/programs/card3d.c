/*
 * Drives the 3D commands of a virtio-gpu card from a shell, without a driver that would mind what they mean: command
 * streams, resources and transfers are sent as they are told. One line in, one line out ("ok ..." or "error ...").
 *
 *     create TARGET FORMAT BIND WIDTH HEIGHT DEPTH LAYERS LEVEL SAMPLES FLAGS BYTES   -> ok HANDLE RESOURCE
 *     close HANDLE
 *     fill HANDLE BYTES VALUE                 sets the resource's memory in this guest
 *     look HANDLE BYTES                       -> ok ALIKE VALUE: how many bytes at its beginning are like the first
 *     to|from HANDLE LEVEL OFFSET X Y Z WIDTH HEIGHT DEPTH                            and waits
 *     submit WORD[*TIMES]...                  hexadecimal words, and waits            -> ok MICROSECONDS
 *     fences COUNT                            the last stream again and again         -> ok MEDIAN P99 (microseconds)
 *     small COUNT WORDS                       streams in one go, then waits           -> ok MICROSECONDS
 *     context [CAPSET]                        another context, of the default kind or one of that set; resources are gone
 *     blob MEMORY FLAGS NUMBER BYTES                                                  -> ok HANDLE RESOURCE
 *     share HANDLE                            lets a second context have the resource for a while, and takes it out of the
 *                                             first one and into it again             -> ok HANDLE
 *
 * usage: card3d [RENDER_NODE]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <drm.h>
#include <virtgpu_drm.h>

enum { MAXIMUM_WORDS = 1 << 20, PATIENCE = 20000 };

static const char *path = "/dev/dri/renderD128";
static int card = -1;
static uint32_t words[MAXIMUM_WORDS];
/* The last stream, at first one command that does nothing. */
static uint32_t word_count = 1;

static double microseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static int fail(const char *what) {
  printf("error %s: %s\n", what, strerror(errno));
  return -1;
}

/* What the building machine's libdrm may be too old for. */
struct context_parameter {
  uint64_t name, value;
};
struct init_context {
  uint32_t count, pad;
  uint64_t parameters;
};
struct create_blob {
  uint32_t memory, flags, handle, resource;
  uint64_t size;
  uint32_t pad, command_size;
  uint64_t command, number;
};
#define INIT_CONTEXT DRM_IOWR(DRM_COMMAND_BASE + 0x0b, struct init_context)
#define CREATE_BLOB DRM_IOWR(DRM_COMMAND_BASE + 0x0a, struct create_blob)
enum { CAPSET_ID = 1 };

static uint64_t capset;

/* A descriptor of the card with a context of its own, of the set that was named last. */
static int open_context(void) {
  int fresh = open(path, O_RDWR | O_CLOEXEC);
  struct context_parameter parameter = {.name = CAPSET_ID, .value = capset};
  struct init_context init = {.count = 1, .parameters = (uintptr_t)&parameter};
  if (fresh < 0 || capset == 0 || ioctl(fresh, INIT_CONTEXT, &init) == 0) return fresh;
  close(fresh);
  return -1;
}

static int open_card(void) {
  if (card >= 0) close(card);
  card = open_context();
  return card < 0 ? -1 : 0;
}

/* A stream of so many words; a descriptor that becomes readable when it is done, or -1. */
static int submit(uint32_t count, int is_fenced) {
  struct drm_virtgpu_execbuffer request = {
    .flags = is_fenced ? VIRTGPU_EXECBUF_FENCE_FD_OUT : 0, .size = count * 4, .command = (uintptr_t)words, .fence_fd = -1};
  if (ioctl(card, DRM_IOCTL_VIRTGPU_EXECBUFFER, &request) < 0) return fail("submit");
  return is_fenced ? request.fence_fd : 0;
}

static int wait_for_fence(int fence) {
  struct pollfd file = {.fd = fence, .events = POLLIN};
  int result = poll(&file, 1, PATIENCE);
  close(fence);
  if (result == 1) return 0;
  errno = ETIME;
  return fail("fence");
}

static int submit_and_wait(uint32_t count) {
  int fence = submit(count, 1);
  return fence < 0 ? -1 : wait_for_fence(fence);
}

static int wait_for_resource(uint32_t handle) {
  struct drm_virtgpu_3d_wait request = {.handle = handle};
  return ioctl(card, DRM_IOCTL_VIRTGPU_WAIT, &request) < 0 ? fail("wait") : 0;
}

static void create(const char *text) {
  struct drm_virtgpu_resource_create request = {0};
  if (sscanf(text, "%u %u %u %u %u %u %u %u %u %u %u", &request.target, &request.format, &request.bind, &request.width,
             &request.height, &request.depth, &request.array_size, &request.last_level, &request.nr_samples,
             &request.flags, &request.size) != 11) {
    printf("error create: 11 numbers\n");
  } else if (ioctl(card, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE, &request) < 0) {
    fail("create");
  } else {
    printf("ok %u %u\n", request.bo_handle, request.res_handle);
  }
}

static void close_resource(const char *text) {
  struct drm_gem_close request = {.handle = (uint32_t)strtoul(text, NULL, 0)};
  if (ioctl(card, DRM_IOCTL_GEM_CLOSE, &request) < 0) fail("close");
  else printf("ok\n");
}

static void create_blob(const char *text) {
  struct create_blob request = {0};
  unsigned long long number, size;
  if (sscanf(text, "%u %u %llu %llu", &request.memory, &request.flags, &number, &size) != 4) {
    printf("error blob: 4 numbers\n");
    return;
  }
  request.number = number;
  request.size = size;
  if (ioctl(card, CREATE_BLOB, &request) < 0) fail("blob");
  else printf("ok %u %u\n", request.handle, request.resource);
}

static int import(int where, int file, uint32_t *handle) {
  struct drm_prime_handle request = {.fd = file};
  int result = ioctl(where, DRM_IOCTL_PRIME_FD_TO_HANDLE, &request);
  *handle = request.handle;
  return result;
}

static void share(const char *text) {
  struct drm_prime_handle exported = {.handle = (uint32_t)strtoul(text, NULL, 0), .flags = DRM_CLOEXEC | DRM_RDWR};
  struct drm_gem_close closing = {.handle = exported.handle};
  uint32_t handle;
  if (ioctl(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &exported) < 0) {
    fail("export");
    return;
  }
  int other = open_context();
  if (other < 0 || import(other, exported.fd, &handle) < 0) fail("import");
  else if (ioctl(card, DRM_IOCTL_GEM_CLOSE, &closing) < 0 || import(card, exported.fd, &handle) < 0) fail("again");
  else printf("ok %u\n", handle);
  close(exported.fd);
  if (other >= 0) close(other);
}

static unsigned char *map(uint32_t handle, size_t size) {
  struct drm_virtgpu_map request = {.handle = handle};
  if (ioctl(card, DRM_IOCTL_VIRTGPU_MAP, &request) < 0) return NULL;
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, card, (off_t)request.offset);
  return memory == MAP_FAILED ? NULL : memory;
}

static void fill_or_look(const char *text, int fills) {
  unsigned handle, size, value = 0;
  sscanf(text, "%u %u %u", &handle, &size, &value);
  unsigned char *memory = map(handle, size);
  if (!memory) {
    fail("map");
    return;
  }
  if (fills) {
    memset(memory, (int)value, size);
    printf("ok\n");
  } else {
    size_t alike = 0;
    while (alike < size && memory[alike] == memory[0]) alike++;
    printf("ok %zu %u\n", alike, memory[0]);
  }
  munmap(memory, size);
}

static void transfer(const char *text, int to_host) {
  /* Both directions have the same structure. */
  struct drm_virtgpu_3d_transfer_to_host request = {0};
  struct drm_virtgpu_3d_box *box = &request.box;
  if (sscanf(text, "%u %u %u %u %u %u %u %u %u", &request.bo_handle, &request.level, &request.offset, &box->x, &box->y,
             &box->z, &box->w, &box->h, &box->d) != 9) {
    printf("error transfer: 9 numbers\n");
    return;
  }
  unsigned long code = to_host ? DRM_IOCTL_VIRTGPU_TRANSFER_TO_HOST : DRM_IOCTL_VIRTGPU_TRANSFER_FROM_HOST;
  if (ioctl(card, code, &request) < 0) fail("transfer");
  else if (wait_for_resource(request.bo_handle) == 0) printf("ok\n");
}

static void submit_words(char *text) {
  word_count = 0;
  for (char *word = strtok(text, " \n"); word; word = strtok(NULL, " \n")) {
    char *star;
    uint32_t value = (uint32_t)strtoul(word, &star, 16);
    unsigned long times = *star == '*' ? strtoul(star + 1, NULL, 10) : 1;
    while (times-- && word_count < MAXIMUM_WORDS) words[word_count++] = value;
  }
  double begin = microseconds();
  if (submit_and_wait(word_count) == 0) printf("ok %.0f\n", microseconds() - begin);
}

static int compare(const void *left, const void *right) {
  double difference = *(const double *)left - *(const double *)right;
  return difference < 0 ? -1 : difference > 0;
}

static void measure_fences(const char *text) {
  unsigned count = (unsigned)strtoul(text, NULL, 0);
  double *times = calloc(count ? count : 1, sizeof *times);
  for (unsigned i = 0; i < count; i++) {
    double begin = microseconds();
    if (submit_and_wait(word_count) < 0) return;
    times[i] = microseconds() - begin;
  }
  qsort(times, count, sizeof *times, compare);
  printf("ok %.0f %.0f\n", times[count / 2], times[count * 99 / 100]);
  free(times);
}

static void measure_small(const char *text) {
  unsigned count = 0, size = 1;
  sscanf(text, "%u %u", &count, &size);
  if (size > MAXIMUM_WORDS) size = MAXIMUM_WORDS;
  memset(words, 0, size * 4);
  word_count = size;
  double begin = microseconds();
  for (unsigned i = 1; i < count; i++)
    if (submit(size, 0) < 0) return;
  if (submit_and_wait(size) == 0) printf("ok %.0f\n", microseconds() - begin);
}

static void obey(char *line) {
  char command[16] = "";
  int length = 0;
  sscanf(line, "%15s%n", command, &length);
  char *rest = line + length;
  if (!strcmp(command, "create")) create(rest);
  else if (!strcmp(command, "close")) close_resource(rest);
  else if (!strcmp(command, "fill")) fill_or_look(rest, 1);
  else if (!strcmp(command, "look")) fill_or_look(rest, 0);
  else if (!strcmp(command, "to")) transfer(rest, 1);
  else if (!strcmp(command, "from")) transfer(rest, 0);
  else if (!strcmp(command, "submit")) submit_words(rest);
  else if (!strcmp(command, "fences")) measure_fences(rest);
  else if (!strcmp(command, "small")) measure_small(rest);
  else if (!strcmp(command, "blob")) create_blob(rest);
  else if (!strcmp(command, "share")) share(rest);
  else if (!strcmp(command, "context")) {
    capset = strtoul(rest, NULL, 0);
    puts(open_card() == 0 ? "ok" : "error context");
  }
  else printf("error unknown command: %s\n", command);
}

int main(int argc, char **argv) {
  if (argc > 1) path = argv[1];
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (open_card() < 0) return 1;
  printf("ok card3d\n");
  char *line = NULL;
  size_t room = 0;
  while (getline(&line, &room, stdin) > 0) {
    if (!strcmp(line, "quit\n")) return 0;
    obey(line);
  }
  return 0;
}
