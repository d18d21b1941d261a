/*
 * An application that makes pictures: a square that moves over a pattern, in a buffer of three images that others may
 * read: who reads one keeps it, and the next is drawn into another.
 *
 *   cc producer.c $(pkg-config --cflags --libs muntin) -o producer
 *   ./producer --name camera --buffer front --size 640x480 --grant application:recorder --property lens=wide
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <muntin.h>

enum { SQUARE = 32, PATIENCE = 1000 /* ms that a reader may hold up the next frame */ };

/* Where the colours of a pixel are in its little-endian word. */
static const struct format {
  const char *name;
  uint32_t fourcc;
  int red, green, blue, rest;
} formats[] = {
    {"XRGB8888", MUNTIN_XRGB8888, 16, 8, 0, 24}, {"ARGB8888", MUNTIN_ARGB8888, 16, 8, 0, 24},
    {"XBGR8888", MUNTIN_XBGR8888, 0, 8, 16, 24}, {"ABGR8888", MUNTIN_ABGR8888, 0, 8, 16, 24},
    {"BGRX8888", MUNTIN_BGRX8888, 8, 16, 24, 0}, {"BGRA8888", MUNTIN_BGRA8888, 8, 16, 24, 0},
    {"RGBX8888", MUNTIN_RGBX8888, 24, 16, 8, 0}, {"RGBA8888", MUNTIN_RGBA8888, 24, 16, 8, 0},
};

static struct {
  muntin_options connection;
  muntin_offer offer;
  muntin_property properties[MUNTIN_MAXIMUM_PROPERTIES];
  const struct format *format;
  const char *grantees[8]; /* KIND:NAME */
  size_t grantee_count;
  unsigned rate;   /* frames a second */
  uint64_t frames; /* 0: without end */
} own = {
    .connection = {.name = "producer", .reconnect = true},
    .offer = {.layout = {.width = 640, .height = 480}, .name = "picture", .images = 3},
    .format = &formats[0],
    .rate = 30,
};

static muntin_buffer *buffer;
static uint64_t drawn[MUNTIN_MAXIMUM_IMAGES]; /* the generation that is in each image */
static volatile sig_atomic_t is_over;

static void stop(int signal) {
  (void)signal;
  is_over = 1;
}

static void usage(void) {
  fputs("usage: producer [--hub PATH] [--name NAME] [--buffer NAME] [--size WxH] [--format XRGB8888]\n"
        "                [--property NAME=VALUE]... [--grant vm|application|display:NAME]... [--rate N] [--frames N]\n",
        stderr);
  exit(2);
}

/* ---- Drawing ---- */

static uint32_t pixel(const struct format *format, uint32_t red, uint32_t green, uint32_t blue) {
  return red << format->red | green << format->green | blue << format->blue | 0xffu << format->rest;
}

/* Where the square of a generation is. */
static muntin_rectangle square(const muntin_layout *layout, uint64_t generation) {
  uint32_t width = layout->width < SQUARE ? layout->width : SQUARE;
  uint32_t height = layout->height < SQUARE ? layout->height : SQUARE;
  return (muntin_rectangle){
      .x = (uint32_t)(generation * 7 % (layout->width - width + 1)),
      .y = (uint32_t)(generation * 5 % (layout->height - height + 1)),
      .width = width,
      .height = height,
  };
}

static void fill(muntin_rectangle part, bool is_square, uint64_t generation) {
  const muntin_layout *layout = muntin_buffer_layout(buffer);
  for (uint32_t y = part.y; y < part.y + part.height; y++) {
    uint32_t *row = (uint32_t *)((uint8_t *)muntin_buffer_image(buffer, generation) + (size_t)y * layout->stride);
    for (uint32_t x = part.x; x < part.x + part.width; x++) {
      row[x] = is_square ? pixel(own.format, 255, 255, generation & 255)
                         : pixel(own.format, x & 255, y & 255, (x ^ y) & 255);
    }
  }
}

static muntin_rectangle both(muntin_rectangle a, muntin_rectangle b) {
  uint32_t right = a.x + a.width > b.x + b.width ? a.x + a.width : b.x + b.width;
  uint32_t bottom = a.y + a.height > b.y + b.height ? a.y + a.height : b.y + b.height;
  uint32_t x = a.x < b.x ? a.x : b.x, y = a.y < b.y ? a.y : b.y;
  return (muntin_rectangle){x, y, right - x, bottom - y};
}

/* Draws a generation into its image, where an older one stands, and tells what is another than in the newest one. */
static void draw(uint64_t generation) {
  const muntin_layout *layout = muntin_buffer_layout(buffer);
  uint64_t newest = muntin_buffer_generation(buffer), *here = &drawn[generation % MUNTIN_MAXIMUM_IMAGES];
  muntin_rectangle damage = {0, 0, layout->width, layout->height}, now = square(layout, generation);
  fill(*here == 0 ? damage : square(layout, *here), false, generation);
  fill(now, true, generation);
  if (newest > 0) damage = both(square(layout, newest), now);
  *here = generation;
  muntin_buffer_update(buffer, &damage, generation, -1);
}

/* ---- Talking to the hub ---- */

static muntin_party_kind party_kind(const char *text, const char **name) {
  static const char *const kinds[] = {"", "vm:", "application:", "display:"};
  for (int kind = MUNTIN_VM; kind <= MUNTIN_DISPLAY; kind++) {
    size_t length = strlen(kinds[kind]);
    *name = text + length;
    if (strncmp(text, kinds[kind], length) == 0) return (muntin_party_kind)kind;
  }
  usage();
  return MUNTIN_NOBODY;
}

static int grant(muntin *hub, const char *grantee) {
  muntin_right right = {.buffer = buffer, .access = MUNTIN_READ};
  muntin_grant *given;
  right.grantee_kind = party_kind(grantee, &right.grantee);
  return muntin_grant_give(hub, &right, &given);
}

/* Offers the picture, and lets those see it who may. */
static int offer(muntin *hub) {
  int result = muntin_buffer_offer(hub, &own.offer, &buffer);
  for (size_t index = 0; result == 0 && index < own.grantee_count; index++) result = grant(hub, own.grantees[index]);
  return result;
}

/* A reader that did not let go would see all that is drawn here: goes on in other memory. */
static void replace(muntin *hub) {
  muntin_buffer_destroy(buffer); /* leaves that reader with zeros */
  memset(drawn, 0, sizeof drawn);
  printf("a reader did not let go: the picture is in other memory now\n");
  if (offer(hub) < 0) is_over = 1;
}

static void handle(muntin *hub, const muntin_event *event) {
  switch (event->kind) {
  case MUNTIN_EVENT_CONNECTED: printf("connected\n"); break;
  case MUNTIN_EVENT_DISCONNECTED: printf("disconnected: %s\n", event->text); break;
  case MUNTIN_EVENT_OFFERED: printf("offered\n"); break;
  case MUNTIN_EVENT_GRANTED: printf("granted %llu\n", (unsigned long long)event->number); break;
  case MUNTIN_EVENT_REFUSED: printf("refused: %s\n", event->text); break;
  case MUNTIN_EVENT_STILL_MAPPED: replace(hub); break;
  default: break;
  }
}

/* False when the connection has ended for good. */
static bool dispatch(muntin *hub) {
  muntin_event event;
  int result;
  while ((result = muntin_dispatch(hub, &event)) > 0) handle(hub, &event);
  if (result < 0) fprintf(stderr, "producer: %s (%s)\n", muntin_last_error(hub), muntin_error_text(result));
  return result == 0;
}

static int64_t milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A frame is drawn when its time has come and there is an image for it; whoever holds the others for long is drawn over. */
static bool run(muntin *hub) {
  int64_t due = milliseconds(), interval = 1000 / (own.rate > 0 && own.rate <= 1000 ? own.rate : 30);
  while (!is_over) {
    if (!dispatch(hub)) return false;
    int64_t now = milliseconds();
    uint64_t newest = muntin_buffer_generation(buffer), next = muntin_buffer_next(buffer);
    bool is_late = now >= due + PATIENCE;
    bool is_done = own.frames > 0 && newest >= own.frames;
    if (is_done && (muntin_buffer_is_idle(buffer) || is_late)) return true;
    if (!is_done && now >= due && (next > 0 || is_late)) {
      draw(next > 0 ? next : newest + 1);
      due = now + interval;
      continue;
    }
    muntin_wait(hub, now < due ? (int)(due - now) : PATIENCE / 10);
  }
  return true;
}

/* ---- Options ---- */

static void set_property(const char *text) {
  size_t count = own.offer.property_count;
  const char *value = strchr(text, '=');
  if (value == NULL || count == MUNTIN_MAXIMUM_PROPERTIES) usage();
  muntin_property *property = &own.properties[count];
  snprintf(property->name, sizeof property->name, "%.*s", (int)(value - text), text);
  snprintf(property->value, sizeof property->value, "%s", value + 1);
  own.offer.property_count++;
}

static void set_format(const char *name) {
  for (size_t index = 0; index < sizeof formats / sizeof formats[0]; index++) {
    if (strcmp(formats[index].name, name) == 0) {
      own.format = &formats[index];
      return;
    }
  }
  usage();
}

static void set(const char *option, const char *value) {
  muntin_layout *layout = &own.offer.layout;
  if (strcmp(option, "--hub") == 0) own.connection.path = value;
  else if (strcmp(option, "--name") == 0) own.connection.name = value;
  else if (strcmp(option, "--buffer") == 0) own.offer.name = value;
  else if (strcmp(option, "--format") == 0) set_format(value);
  else if (strcmp(option, "--property") == 0) set_property(value);
  else if (strcmp(option, "--rate") == 0) own.rate = (unsigned)strtoul(value, NULL, 10);
  else if (strcmp(option, "--frames") == 0) own.frames = strtoull(value, NULL, 10);
  else if (strcmp(option, "--grant") == 0 && own.grantee_count < 8) own.grantees[own.grantee_count++] = value;
  else if (strcmp(option, "--size") != 0 || sscanf(value, "%ux%u", &layout->width, &layout->height) != 2) usage();
}

int main(int count, char **arguments) {
  for (int index = 1; index < count; index += 2) {
    if (index + 1 == count) usage();
    set(arguments[index], arguments[index + 1]);
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGTERM, stop);
  signal(SIGINT, stop);
  own.offer.layout.format = own.format->fourcc;
  own.offer.properties = own.properties;

  muntin *hub;
  int result = muntin_open(&own.connection, &hub);
  if (result < 0) {
    fprintf(stderr, "producer: %s\n", muntin_error_text(result));
    return 1;
  }
  result = offer(hub);
  if (result < 0) fprintf(stderr, "producer: %s\n", muntin_last_error(hub));
  bool is_good = result == 0 && run(hub);
  muntin_close(hub);
  return is_good ? 0 : 1;
}
