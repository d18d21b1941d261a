/*
 * Sends a message to the hub that must not leave this guest before a fence has signalled: a fence of another channel of
 * the same card, which signals when the hub says something there. Prints, in milliseconds: when the fence was let
 * signal, when the message had left, when its answer came; and whether the fence was readable before and after.
 *
 * usage: fenced_message RENDER_NODE
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <CDRM.h>

enum { CROSS_DOMAIN = 5, HUB = 24, INIT = 1, POLL = 3, SEND = 4, RING = 1, PAGE = 4096, DELAY = 1500 };
enum { HELLO = 0x0001, GRANTS = 0x040d };

struct channel {
  int card;
  unsigned char *ring;
};

static int check(int result, const char *what) {
  if (result >= 0) return result;
  fprintf(stderr, "%s: %s\n", what, strerror(-result));
  exit(1);
}

static double milliseconds(void) {
  static double start;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  double time = now.tv_sec * 1e3 + now.tv_nsec / 1e6;
  if (start == 0) start = time;
  return time - start;
}

/* A page of this guest's as a resource; its number. */
static unsigned make_ring(struct channel *channel) {
  struct cdrm_blob blob = {.memory = CDRM_BLOB_GUEST, .flags = CDRM_BLOB_MAPPABLE, .byte_count = PAGE};
  uint64_t offset;
  check(cdrm_create_blob(channel->card, &blob), "create a blob");
  check(cdrm_map_offset(channel->card, blob.handle, &offset), "map a blob");
  channel->ring = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, channel->card, (off_t)offset);
  if (channel->ring == MAP_FAILED) exit(1);
  return blob.resource;
}

static void put(unsigned char *at, unsigned value) { memcpy(at, &value, 4); }

/* A command's 8 bytes of header. */
static void head(unsigned char *at, unsigned code, unsigned size) {
  memset(at, 0, size);
  at[0] = (unsigned char)code;
  at[1] = RING;
  at[2] = (unsigned char)(size & 255);
  at[3] = (unsigned char)(size >> 8);
}

/* Sends one message of the hub's protocol, `payload` bytes behind its header. */
static void say(struct channel *channel, unsigned type, unsigned serial, const unsigned char *payload, unsigned size,
                int fence) {
  unsigned char command[1024];
  unsigned start = 8 + 8 + 3 * 4 * 28, length = 16 + size;
  head(command, SEND, start + length);
  put(command + 12, length);
  command[start] = (unsigned char)(type & 255);
  command[start + 1] = (unsigned char)(type >> 8);
  put(command + start + 4, length);
  put(command + start + 8, serial);
  memcpy(command + start + 16, payload, size);
  check(cdrm_submit_fenced(channel->card, command, start + length, CDRM_NO_RING, fence, NULL), "send");
}

/* Asks the card to say when the hub has something; *fence, if it is wanted, signals then. */
static void ask(struct channel *channel, int *fence) {
  unsigned char command[16];
  head(command, POLL, sizeof command);
  check(cdrm_submit_fenced(channel->card, command, sizeof command, RING, -1, fence), "poll");
}

/* Waits for it; the type of the message. */
static unsigned hear(struct channel *channel) {
  struct pollfd poller = {.fd = channel->card, .events = POLLIN};
  if (poll(&poller, 1, 20000) != 1) exit(1);
  check(cdrm_read_events(channel->card), "read events");
  const unsigned char *message = channel->ring + 8 + 8 + 3 * 4 * 28;
  return message[0] | (unsigned)message[1] << 8;
}

static struct channel open_channel(const char *path) {
  struct channel channel = {.card = open(path, O_RDWR | O_CLOEXEC)};
  unsigned char command[20], hello[192] = {1, 0, 0, 0, 4};
  if (channel.card < 0) exit(1);
  check(cdrm_context(channel.card, CROSS_DOMAIN, 2, 1 << RING), "start a context");
  unsigned ring = make_ring(&channel);
  head(command, INIT, sizeof command);
  put(command + 8, ring);
  put(command + 12, ring);
  put(command + 16, HUB);
  check(cdrm_submit(channel.card, command, sizeof command, CDRM_NO_RING), "begin");
  strcpy((char *)hello + 8, "fenced");
  say(&channel, HELLO, 0, hello, sizeof hello, -1);
  ask(&channel, NULL);
  if (hear(&channel) != 0x0002) exit(1);
  return channel;
}

static const unsigned char nothing[8];

/* The hub answers on this channel after a while, which signals its fence. */
static void *let_signal(void *channel) {
  usleep(DELAY * 1000);
  printf("signalled %.0f\n", milliseconds());
  say(channel, GRANTS, 1, nothing, sizeof nothing, -1);
  return NULL;
}

static int is_readable(int fence) { return poll(&(struct pollfd){.fd = fence, .events = POLLIN}, 1, 0); }

int main(int count, char **arguments) {
  if (count != 2) return 2;
  struct channel own = open_channel(arguments[1]), other = open_channel(arguments[1]);
  pthread_t thread;
  int fence, news;
  ask(&other, &fence);
  ask(&own, &news);
  milliseconds();
  pthread_create(&thread, NULL, let_signal, &other);
  printf("before %d\n", is_readable(fence));
  say(&own, GRANTS, 2, nothing, sizeof nothing, fence);
  printf("left %.0f\n", milliseconds());
  printf("after %d\n", is_readable(fence));
  if (poll(&(struct pollfd){.fd = news, .events = POLLIN}, 1, 20000) != 1) return 1;
  printf("heard %.0f %x\n", milliseconds(), hear(&own));
  pthread_join(thread, NULL);
  return 0;
}
