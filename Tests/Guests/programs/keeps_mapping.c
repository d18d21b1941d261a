/*
 * Maps a picture of another machine's, and keeps it mapped when the right to it is revoked. Prints the first pixel of the
 * first whole picture, and how many bytes are not zero when it is told of the end, and a second later, when it has tried to
 * write if it could.
 *
 * usage: keeps_mapping OWNER BUFFER read|read-write
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <muntin.h>

static uint8_t *pixels;
static size_t size;

static size_t bytes_that_are_not_zero(void) {
  size_t count = 0;
  for (size_t index = 0; index < size; index++) count += ((volatile uint8_t *)pixels)[index] != 0;
  return count;
}

static void map(muntin_lease *lease) {
  void *mapping;
  if (pixels != NULL || muntin_lease_map(lease, &mapping) < 0) return;
  const muntin_layout *layout = &muntin_lease_info(lease)->layout;
  pixels = mapping;
  size = (size_t)layout->stride * layout->height;
  printf("pixel %08x\n", *(volatile uint32_t *)pixels);
}

static int keep(bool is_writable) {
  printf("revoked, %zu bytes\n", bytes_that_are_not_zero());
  usleep(500000);
  if (is_writable) memset(pixels, 0x77, size);
  usleep(500000);
  printf("later, %zu bytes\n", bytes_that_are_not_zero());
  return 0;
}

int main(int count, char **arguments) {
  if (count != 4) return 2;
  bool is_writable = strcmp(arguments[3], "read-write") == 0;
  muntin_options options = {.name = "keeper", .path = "drm:"};
  muntin_selector selector = {.owner_kind = MUNTIN_VM, .owner = arguments[1], .name = arguments[2]};
  muntin_event event;
  muntin *hub;
  muntin_lease *lease;
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (muntin_open(&options, &hub) < 0) return 1;
  if (muntin_lease_acquire(hub, &selector, is_writable ? MUNTIN_READ_WRITE : MUNTIN_READ, MUNTIN_UPDATES, &lease) < 0) {
    return 1;
  }
  for (;;) {
    int result = muntin_dispatch(hub, &event);
    if (result < 0) return 1;
    if (result == 0) muntin_wait(hub, -1);
    if (event.kind == MUNTIN_EVENT_REFUSED) return 1;
    if (event.kind == MUNTIN_EVENT_UPDATED) map(lease);
    if (event.kind == MUNTIN_EVENT_REVOKED) return keep(is_writable);
  }
}
