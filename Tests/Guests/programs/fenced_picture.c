/*
 * Two connections by libmuntin, of an owner and of a reader of its buffer, whose updates and "done" come with fences that
 * are not ready at first. Prints what came when: "early" is what came before the fence was ready (it never should).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <muntin.h>

enum { SHORT = 500, LONG = 10000 };

static muntin_buffer *buffer;
static muntin_lease *lease;

static int64_t milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static muntin *connect_as(const char *name) {
  muntin_options options = {.name = name, .path = "drm:"};
  muntin *hub;
  if (muntin_open(&options, &hub) == 0) return hub;
  fprintf(stderr, "no hub\n");
  exit(1);
}

/* Whether an event of that kind comes within a time; the other connection goes on meanwhile. */
static bool comes(muntin *hub, muntin *other, muntin_event_kind kind, uint64_t generation, int time) {
  muntin_event event;
  for (int64_t end = milliseconds() + time; milliseconds() < end;) {
    while (muntin_dispatch(other, &event) > 0) {
    }
    while (muntin_dispatch(hub, &event) > 0) {
      if (event.kind == MUNTIN_EVENT_WANTED) continue;
      if (event.kind == kind && event.generation >= generation) return true;
    }
    muntin_wait(hub, 20);
  }
  return false;
}

static void ring(int fence) {
  uint64_t one = 1;
  if (write(fence, &one, sizeof one) != sizeof one) exit(1);
}

/* Waits only for what muntin_fd() says, so that this ends in time only if the fence makes it readable. What has come then
 * is looked at afterwards. */
static void wait_for_fence(muntin *hub) {
  int64_t start = milliseconds();
  muntin_wait(hub, LONG);
  printf("woke %s\n", milliseconds() - start < LONG / 2 ? "in time" : "late");
}

int main(void) {
  muntin *owner = connect_as("owner"), *reader = connect_as("reader");
  muntin_offer offer = {.layout = {.width = 64, .height = 32, .format = MUNTIN_XRGB8888}, .name = "fenced", .images = 2};
  int acquire = eventfd(0, EFD_CLOEXEC), release = eventfd(0, EFD_CLOEXEC);
  if (muntin_buffer_offer(owner, &offer, &buffer) < 0) return 1;
  if (!comes(owner, reader, MUNTIN_EVENT_OFFERED, 0, LONG)) return 2;
  muntin_selector selector = {.id = muntin_buffer_id(buffer)};
  if (muntin_lease_acquire(reader, &selector, MUNTIN_READ, MUNTIN_UPDATES, &lease) < 0) return 3;
  if (!comes(reader, owner, MUNTIN_EVENT_ACQUIRED, 0, LONG)) return 4;

  memset(muntin_buffer_image(buffer, 1), 0x55, 64 * 32 * 4);
  if (muntin_buffer_update(buffer, NULL, 1, acquire) < 0) return 5;
  printf("update %s\n", comes(reader, owner, MUNTIN_EVENT_UPDATED, 1, SHORT) ? "early" : "waits");
  ring(acquire);
  wait_for_fence(owner);
  printf("update %s\n", comes(reader, owner, MUNTIN_EVENT_UPDATED, 1, LONG) ? "came" : "lost");

  if (muntin_buffer_update(buffer, NULL, 2, -1) < 0) return 6;
  if (muntin_lease_done(lease, 1, release) < 0) return 7;
  printf("next %s\n", comes(reader, owner, MUNTIN_EVENT_UPDATED, 2, SHORT) ? "early" : "waits");
  ring(release);
  wait_for_fence(reader);
  printf("next %s\n", comes(reader, owner, MUNTIN_EVENT_UPDATED, 2, LONG) ? "came" : "lost");

  muntin_lease_release(lease);
  muntin_buffer_destroy(buffer);
  muntin_close(reader);
  muntin_close(owner);
  return 0;
}
