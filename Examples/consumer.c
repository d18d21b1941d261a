/*
 * An application that uses pictures of others: writes each frame as a PNG file, 100 of them unless told otherwise. It
 * ends before when the picture's owner ends, or the hub does and does not come back.
 *
 *   cc consumer.c $(pkg-config --cflags --libs muntin libpng) -o consumer
 *   ./consumer --name recorder --owner application:camera --buffer front --output frame
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <muntin.h>
#include <png.h>

enum { PATIENCE = 10 /* seconds without a hub */ };

static struct {
  muntin_options connection;
  muntin_selector selector;
  uint8_t id[MUNTIN_ID_SIZE];
  const char *output; /* beginning of the files' names */
  uint64_t count;     /* of frames; 0: without end */
  muntin_access access;
  bool lists;
} own = {
    .connection = {.name = "consumer", .reconnect = true},
    .selector = {.owner_kind = MUNTIN_APPLICATION, .owner = "producer", .name = "picture"},
    .output = "frame",
    .count = 100,
    .access = MUNTIN_READ,
};

static volatile sig_atomic_t is_over;

static void stop(int signal) {
  (void)signal;
  is_over = 1;
}

static void usage(void) {
  fputs("usage: consumer [--hub PATH] [--name NAME] [--owner vm|application:NAME] [--buffer NAME] [--id UUID]\n"
        "                [--access read|read-write] [--output BEGINNING] [--count N] [--list yes]\n",
        stderr);
  exit(2);
}

/* ---- Pictures ---- */

/* Red, green and blue of a pixel: where they are in its little-endian word depends on the format. */
static void convert(uint32_t format, uint32_t word, uint8_t *rgb) {
  int red = 16, green = 8, blue = 0;
  if (format == MUNTIN_XBGR8888 || format == MUNTIN_ABGR8888) red = 0, blue = 16;
  if (format == MUNTIN_BGRX8888 || format == MUNTIN_BGRA8888) red = 8, green = 16, blue = 24;
  if (format == MUNTIN_RGBX8888 || format == MUNTIN_RGBA8888) red = 24, green = 16, blue = 8;
  rgb[0] = (uint8_t)(word >> red);
  rgb[1] = (uint8_t)(word >> green);
  rgb[2] = (uint8_t)(word >> blue);
}

static bool write_png(const char *path, const muntin_layout *layout, const void *pixels) {
  png_image image = {
      .version = PNG_IMAGE_VERSION, .width = layout->width, .height = layout->height, .format = PNG_FORMAT_RGB};
  uint8_t *rgb = malloc((size_t)layout->width * layout->height * 3);
  if (rgb == NULL) return false;
  for (size_t y = 0; y < layout->height; y++) {
    const uint32_t *row = (const uint32_t *)((const uint8_t *)pixels + y * layout->stride);
    for (size_t x = 0; x < layout->width; x++) convert(layout->format, row[x], rgb + (y * layout->width + x) * 3);
  }
  bool is_good = png_image_write_to_file(&image, path, 0, rgb, 0, NULL) != 0;
  free(rgb);
  return is_good;
}

static uint64_t written;

/* Copies what the buffer shows, and tells its owner that it was read. */
static void take_frame(muntin_lease *lease, muntin_rectangle damage, uint64_t generation) {
  const muntin_layout *layout = &muntin_lease_info(lease)->layout;
  char path[4096];
  void *pixels;
  snprintf(path, sizeof path, "%s-%llu.png", own.output, (unsigned long long)generation);
  if (muntin_lease_map(lease, &pixels) < 0 || !write_png(path, layout, pixels)) {
    fprintf(stderr, "consumer: cannot write %s\n", path);
    is_over = 1;
    return;
  }
  muntin_lease_done(lease, generation, -1);
  printf("frame %llu damage %u,%u %ux%u in %s\n", (unsigned long long)generation, damage.x, damage.y, damage.width,
         damage.height, path);
  if (++written == own.count) is_over = 1;
}

/* ---- Talking to the hub ---- */

static void print_buffer(const char *what, const muntin_info *info) {
  char id[MUNTIN_ID_TEXT_SIZE];
  muntin_id_to_text(info->id, id);
  printf("%s %s %ux%u %.4s of %s named %s", what, id, info->layout.width, info->layout.height,
         (const char *)&info->layout.format, info->owner.name, info->name);
  for (uint32_t index = 0; index < info->property_count; index++) {
    printf(" %s=%s", info->properties[index].name, info->properties[index].value);
  }
  printf("\n");
}

/* What ends this program: the buffer is gone, or was never to be had. */
static void end(const char *how, const char *text) {
  printf("%s%s\n", how, text);
  is_over = 1;
}

static time_t alone_since; /* 0: there is a hub */

static void lose(const char *text) {
  printf("disconnected: %s\n", text);
  if (alone_since == 0) alone_since = time(NULL);
}

static void handle(muntin *hub, const muntin_event *event) {
  switch (event->kind) {
  case MUNTIN_EVENT_CONNECTED:
    printf("connected\n");
    alone_since = 0;
    if (own.lists) muntin_list(hub, NULL, 0, NULL);
    break;
  case MUNTIN_EVENT_DISCONNECTED: lose(event->text); break;
  case MUNTIN_EVENT_ACQUIRED: print_buffer("acquired", event->info); break;
  case MUNTIN_EVENT_UPDATED: take_frame(event->lease, event->damage, event->generation); break;
  case MUNTIN_EVENT_REFUSED: end("refused: ", event->text); break;
  case MUNTIN_EVENT_REVOKED: end("revoked", ""); break;
  case MUNTIN_EVENT_RETIRED: end("retired", ""); break;
  case MUNTIN_EVENT_INFO: print_buffer("buffer", event->info); break;
  case MUNTIN_EVENT_LIST_END:
    if (event->number != 0) muntin_list(hub, NULL, event->number, NULL);
    else is_over = 1;
    break;
  default: break;
  }
}

static bool run(muntin *hub) {
  muntin_event event;
  alone_since = time(NULL);
  while (!is_over) {
    int result;
    while (!is_over && (result = muntin_dispatch(hub, &event)) > 0) handle(hub, &event);
    if (is_over) break;
    if (result < 0) {
      fprintf(stderr, "consumer: %s (%s)\n", muntin_last_error(hub), muntin_error_text(result));
      return false;
    }
    muntin_wait(hub, 1000);
    if (alone_since != 0 && time(NULL) - alone_since > PATIENCE) end("no hub", "");
  }
  return true;
}

/* ---- Options ---- */

static void set_owner(const char *text) {
  own.selector.owner_kind = strncmp(text, "vm:", 3) == 0 ? MUNTIN_VM : MUNTIN_APPLICATION;
  own.selector.owner = strchr(text, ':');
  if (own.selector.owner++ == NULL) usage();
}

static void set_id(const char *text) {
  if (muntin_id_from_text(text, own.id) < 0) usage();
  own.selector.id = own.id;
}

/* A dma-buf is to be had for reading and writing only. */
static void set_access(const char *text) {
  if (strcmp(text, "read") != 0 && strcmp(text, "read-write") != 0) usage();
  own.access = strcmp(text, "read") == 0 ? MUNTIN_READ : MUNTIN_READ_WRITE;
}

static void set(const char *option, const char *value) {
  if (strcmp(option, "--hub") == 0) own.connection.path = value;
  else if (strcmp(option, "--name") == 0) own.connection.name = value;
  else if (strcmp(option, "--owner") == 0) set_owner(value);
  else if (strcmp(option, "--buffer") == 0) own.selector.name = value;
  else if (strcmp(option, "--id") == 0) set_id(value);
  else if (strcmp(option, "--access") == 0) set_access(value);
  else if (strcmp(option, "--output") == 0) own.output = value;
  else if (strcmp(option, "--count") == 0) own.count = strtoull(value, NULL, 10);
  else if (strcmp(option, "--list") == 0) own.lists = strcmp(value, "yes") == 0;
  else usage();
}

int main(int count, char **arguments) {
  for (int index = 1; index < count; index += 2) {
    if (index + 1 == count) usage();
    set(arguments[index], arguments[index + 1]);
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGTERM, stop);
  signal(SIGINT, stop);

  muntin *hub;
  muntin_lease *lease = NULL;
  int result = muntin_open(&own.connection, &hub);
  if (result < 0) {
    fprintf(stderr, "consumer: %s\n", muntin_error_text(result));
    return 1;
  }
  uint32_t flags = MUNTIN_UPDATES | (own.selector.id == NULL ? MUNTIN_WAIT_FOR_IT : 0);
  if (!own.lists) result = muntin_lease_acquire(hub, &own.selector, own.access, flags, &lease);
  if (result < 0) fprintf(stderr, "consumer: %s\n", muntin_last_error(hub));
  bool is_good = result == 0 && run(hub);
  muntin_lease_release(lease);
  muntin_close(hub);
  return is_good ? 0 : 1;
}
