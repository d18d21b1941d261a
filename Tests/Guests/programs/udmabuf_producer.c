/*
 * An application that offers a dma-buf: pages of a memory file, in another order, by /dev/udmabuf. It shows what
 * `paint fill SEED` draws, until it is ended.
 *
 * usage: udmabuf_producer HUB WIDTH HEIGHT SEED
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <muntin.h>

enum { PAGE = 4096 };

static void *check(void *result, const char *what) {
  if (result != MAP_FAILED && result != NULL) return result;
  perror(what);
  exit(1);
}

static int check_number(int result, const char *what) {
  if (result >= 0) return result;
  perror(what);
  exit(1);
}

/* The pages of the file from last to first, as one dma-buf. */
static int make_dma_buf(int file, size_t pages) {
  struct udmabuf_create_list *list = check(calloc(1, sizeof *list + pages * sizeof list->list[0]), "calloc");
  list->flags = UDMABUF_FLAGS_CLOEXEC;
  list->count = (uint32_t)pages;
  for (size_t page = 0; page < pages; page++) {
    list->list[page].memfd = (uint32_t)file;
    list->list[page].offset = (pages - 1 - page) * PAGE;
    list->list[page].size = PAGE;
  }
  int device = check_number(open("/dev/udmabuf", O_RDWR | O_CLOEXEC), "/dev/udmabuf");
  int buffer = check_number(ioctl(device, UDMABUF_CREATE_LIST, list), "UDMABUF_CREATE_LIST");
  close(device);
  free(list);
  return buffer;
}

/* Drawn through the file, as its owner sees it: a reader of the dma-buf must find it there. */
static void draw(uint32_t *words, size_t pages, uint32_t width, uint32_t height, uint32_t seed) {
  const size_t page_words = PAGE / sizeof *words;
  for (uint32_t pixel = 0; pixel < width * height; pixel++) {
    uint32_t x = pixel % width, y = pixel / width;
    uint32_t blue = (16 * (x / 256) + y / 256 + 37 * seed) & 255;
    size_t page = pages - 1 - pixel / page_words;
    words[page * page_words + pixel % page_words] = (x & 255) << 16 | (y & 255) << 8 | blue;
  }
}

/* Tells of the picture again and again, for readers that come later. */
static void serve(muntin *hub, muntin_buffer *buffer) {
  muntin_right right = {
      .buffer = buffer, .grantee_kind = MUNTIN_APPLICATION, .grantee = "recorder", .access = MUNTIN_READ_WRITE};
  muntin_grant *grant;
  muntin_event event;
  int result = muntin_grant_give(hub, &right, &grant);
  while (result >= 0) {
    while ((result = muntin_dispatch(hub, &event)) > 0) {
      if (event.kind == MUNTIN_EVENT_OFFERED) printf("offered\n");
      if (event.kind == MUNTIN_EVENT_REFUSED) printf("refused: %s\n", event.text);
    }
    if (result == 0) result = muntin_buffer_update(buffer, NULL, 0, -1);
    usleep(200000);
  }
  printf("error %s\n", muntin_last_error(hub));
}

int main(int count, char **arguments) {
  if (count != 5) return 2;
  uint32_t width = (uint32_t)atoi(arguments[2]), height = (uint32_t)atoi(arguments[3]);
  size_t pages = ((size_t)width * height * 4 + PAGE - 1) / PAGE;
  setvbuf(stdout, NULL, _IOLBF, 0);
  int file = check_number(memfd_create("camera", MFD_ALLOW_SEALING | MFD_CLOEXEC), "memfd_create");
  check_number(ftruncate(file, (off_t)(pages * PAGE)), "ftruncate");
  check_number(fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK), "F_ADD_SEALS");
  uint32_t *words = check(mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), "mmap");

  muntin_options options = {.name = "camera", .path = arguments[1]};
  muntin_offer offer = {
      .layout = {.width = width, .height = height, .stride = width * 4, .format = MUNTIN_XRGB8888},
      .name = "front",
      .writable = true,
  };
  muntin_memory memory = {
      .kind = MUNTIN_MEMORY_DMA_BUF, .fd = make_dma_buf(file, pages), .byte_count = pages * PAGE};
  muntin *hub;
  muntin_buffer *buffer;
  check_number(muntin_open(&options, &hub), "muntin_open");
  if (muntin_buffer_offer_memory(hub, &offer, &memory, &buffer) < 0) {
    printf("error %s\n", muntin_last_error(hub));
    return 1;
  }
  draw(words, pages, width, height, (uint32_t)atoi(arguments[4]));
  serve(hub, buffer);
  return 1;
}
