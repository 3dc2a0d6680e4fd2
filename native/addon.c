// The JavaScript face of the addon (src/link/native.ts has its types). All state hangs on the set object, nothing on the
// process, so that every worker thread can have sets of its own. The set's memory lives until two things let go of it: the
// JavaScript object (its finalizer) and libuv (the close callback of the poll handle).
#include "podwire.h"

#include <errno.h>
#include <node_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

struct handle {
  struct tap_set set;
  napi_env env;
  uv_poll_t poll;
  napi_ref on_readable;
  napi_ref memory[3]; // arena, rx, tx: kept from the collector while C holds their addresses
  napi_async_context context;
  napi_async_cleanup_hook_handle teardown;
  bool open;
  int owners;
};

static const napi_type_tag SET_TAG = {0x706f647769726501, 0x7365740000000001};

static void throw_failure(napi_env env, const struct failure *f) {
  char name[32];
  char message[512];
  uv_err_name_r(-f->error, name, sizeof name);
  snprintf(message, sizeof message, "%s %s: %s%s%s", f->syscall, f->object, name, f->remedy ? "; " : "", f->remedy ? f->remedy : "");
  napi_value text, code, error, value;
  napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &text);
  napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &code);
  napi_create_error(env, code, text, &error);
  napi_create_int32(env, -f->error, &value);
  napi_set_named_property(env, error, "errno", value);
  napi_create_string_utf8(env, f->syscall, NAPI_AUTO_LENGTH, &value);
  napi_set_named_property(env, error, "syscall", value);
  napi_create_string_utf8(env, f->object, NAPI_AUTO_LENGTH, &value);
  napi_set_named_property(env, error, "path", value);
  napi_throw(env, error);
}

static void throw_errno(napi_env env, int error, const char *syscall, const char *object) {
  struct failure f = {.error = error, .syscall = syscall};
  snprintf(f.object, sizeof f.object, "%s", object);
  throw_failure(env, &f);
}

static bool arguments(napi_env env, napi_callback_info info, size_t count, napi_value *argv) {
  size_t got = count;
  if (napi_get_cb_info(env, info, &got, argv, NULL, NULL) == napi_ok && got >= count) return true;
  napi_throw_type_error(env, NULL, "too few arguments");
  return false;
}

// The open set behind argv[0], or NULL with an exception pending.
static struct handle *unwrap(napi_env env, napi_value object) {
  struct handle *h = NULL;
  bool tagged = false;
  if (napi_check_object_type_tag(env, object, &SET_TAG, &tagged) != napi_ok || !tagged || napi_unwrap(env, object, (void **)&h) != napi_ok) {
    napi_throw_type_error(env, NULL, "not a TAP set");
    return NULL;
  }
  if (h->open) return h;
  napi_throw_error(env, "ERR_CLOSED", "the TAP set is closed");
  return NULL;
}

static napi_value number(napi_env env, double value) {
  napi_value result = NULL;
  napi_create_double(env, value, &result);
  return result;
}

static napi_value small(napi_env env, int value) {
  napi_value result = NULL;
  napi_create_int32(env, value, &result);
  return result;
}

static void disown(struct handle *h) {
  if (--h->owners == 0) free(h);
}

static void on_poll_closed(uv_handle_t *poll) {
  struct handle *h = poll->data;
  if (h->teardown) napi_remove_async_cleanup_hook(h->teardown);
  disown(h);
}

// Stops watching and closes every fd. The rest follows when libuv has let go.
static void stop(struct handle *h) {
  if (!h->open) return;
  h->open = false;
  uv_poll_stop(&h->poll);
  set_destroy(&h->set);
  uv_close((uv_handle_t *)&h->poll, on_poll_closed);
}

static void release_references(napi_env env, struct handle *h) {
  napi_delete_reference(env, h->on_readable);
  for (int i = 0; i < 3; i++) napi_delete_reference(env, h->memory[i]);
  napi_async_destroy(env, h->context);
}

static void on_teardown(napi_async_cleanup_hook_handle hook, void *arg) {
  struct handle *h = arg;
  h->teardown = hook;
  stop(h);
}

static void on_finalize(napi_env env, void *data, void *hint) {
  disown(data);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
  struct handle *h = poll->data;
  napi_env env = h->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value callback, receiver;
  napi_get_reference_value(env, h->on_readable, &callback);
  napi_get_global(env, &receiver);
  if (napi_make_callback(env, h->context, receiver, callback, 0, NULL, NULL) == napi_pending_exception) {
    napi_value error;
    if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
  }
  napi_close_handle_scope(env, scope);
}

// createSet(arena, slotSize, rxOffset, rx, tx, onReadable) -> set
static napi_value create_set(napi_env env, napi_callback_info info) {
  napi_value argv[6];
  if (!arguments(env, info, 6, argv)) return NULL;
  void *arena, *rx, *tx;
  size_t arena_size, rx_size, tx_size;
  uint32_t slot_size, rx_offset;
  napi_typedarray_type rx_type, tx_type;
  napi_valuetype callback_type;
  if (napi_get_arraybuffer_info(env, argv[0], &arena, &arena_size) != napi_ok || napi_get_value_uint32(env, argv[1], &slot_size) != napi_ok ||
      napi_get_value_uint32(env, argv[2], &rx_offset) != napi_ok || slot_size == 0 || rx_offset >= slot_size ||
      napi_get_typedarray_info(env, argv[3], &rx_type, &rx_size, &rx, NULL, NULL) != napi_ok || rx_type != napi_int32_array ||
      napi_get_typedarray_info(env, argv[4], &tx_type, &tx_size, &tx, NULL, NULL) != napi_ok || tx_type != napi_int32_array ||
      napi_typeof(env, argv[5], &callback_type) != napi_ok || callback_type != napi_function) {
    napi_throw_type_error(env, NULL, "createSet(arena: ArrayBuffer, slotSize, rxOffset, rx: Int32Array, tx: Int32Array, onReadable)");
    return NULL;
  }
  struct handle *h = calloc(1, sizeof *h);
  if (!h) {
    throw_errno(env, ENOMEM, "malloc", "TAP set");
    return NULL;
  }
  h->env = env;
  h->set = (struct tap_set){.arena = arena, .slots = arena_size / slot_size, .slot_size = slot_size, .rx_offset = rx_offset, .rx = rx, .rx_size = rx_size / 3, .tx = tx, .tx_size = tx_size / 4};
  int error = set_init(&h->set);
  if (error) {
    throw_errno(env, error, "epoll_create1", "TAP set");
    free(h);
    return NULL;
  }
  uv_loop_t *loop;
  napi_get_uv_event_loop(env, &loop);
  error = uv_poll_init(loop, &h->poll, h->set.epoll_fd);
  if (error) {
    throw_errno(env, -error, "uv_poll_init", "TAP set");
    set_destroy(&h->set);
    free(h);
    return NULL;
  }
  h->poll.data = h;
  h->open = true;
  h->owners = 2;
  napi_value object, name;
  napi_create_object(env, &object);
  napi_create_string_utf8(env, "podwire:TapSet", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, object, name, &h->context);
  napi_create_reference(env, argv[5], 1, &h->on_readable);
  napi_create_reference(env, argv[0], 1, &h->memory[0]);
  napi_create_reference(env, argv[3], 1, &h->memory[1]);
  napi_create_reference(env, argv[4], 1, &h->memory[2]);
  napi_add_async_cleanup_hook(env, on_teardown, h, &h->teardown);
  napi_wrap(env, object, h, on_finalize, NULL, NULL);
  napi_type_tag_object(env, object, &SET_TAG);
  uv_poll_start(&h->poll, UV_READABLE, on_readable);
  return object;
}

// closeSet(set): closes every TAP; closing twice is fine.
static napi_value close_set(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  if (!arguments(env, info, 1, argv)) return NULL;
  struct handle *h;
  bool tagged = false;
  if (napi_check_object_type_tag(env, argv[0], &SET_TAG, &tagged) != napi_ok || !tagged || napi_unwrap(env, argv[0], (void **)&h) != napi_ok) {
    napi_throw_type_error(env, NULL, "not a TAP set");
  } else if (h->open) {
    release_references(env, h);
    stop(h);
  }
  return NULL;
}

static void mac_from_number(uint8_t *mac, double number) {
  uint64_t value = (uint64_t)number;
  for (int i = 5; i >= 0; i--, value >>= 8) mac[i] = (uint8_t)value;
}

static double mac_to_number(const uint8_t *mac) {
  uint64_t value = 0;
  for (int i = 0; i < 6; i++) value = value << 8 | mac[i];
  return (double)value;
}

// openTap(set, netnsPath | null, ifname, mac (0: any), mtu, txQueueLen (0: default), offloads) -> {port, ifname, mac, offloads}
static napi_value open_tap(napi_env env, napi_callback_info info) {
  napi_value argv[7];
  if (!arguments(env, info, 7, argv)) return NULL;
  struct handle *h = unwrap(env, argv[0]);
  if (!h) return NULL;
  struct tap_request r = {0};
  char netns[4096];
  char ifname[64];
  size_t length;
  double mac;
  int32_t mtu, tx_queue_len;
  uint32_t offloads;
  napi_valuetype type;
  napi_typeof(env, argv[1], &type);
  if (type == napi_string && napi_get_value_string_utf8(env, argv[1], netns, sizeof netns, NULL) == napi_ok) r.netns = netns;
  if (napi_get_value_string_utf8(env, argv[2], ifname, sizeof ifname, &length) != napi_ok || length == 0 || length >= IFNAMSIZ ||
      napi_get_value_double(env, argv[3], &mac) != napi_ok || napi_get_value_int32(env, argv[4], &mtu) != napi_ok ||
      napi_get_value_int32(env, argv[5], &tx_queue_len) != napi_ok || napi_get_value_uint32(env, argv[6], &offloads) != napi_ok) {
    napi_throw_type_error(env, NULL, "openTap(set, netnsPath, ifname of 1 to 15 characters, mac, mtu, txQueueLen, offloads)");
    return NULL;
  }
  memcpy(r.ifname, ifname, length + 1);
  r.mtu = mtu;
  r.tx_queue_len = tx_queue_len;
  r.offloads = offloads;
  r.has_mac = mac > 0;
  mac_from_number(r.mac, mac);
  if (tap_open(&r) < 0) {
    throw_failure(env, &r.failure);
    return NULL;
  }
  int port = set_add(&h->set, r.fd);
  if (port < 0) {
    close(r.fd);
    throw_errno(env, -port, "epoll_ctl", r.ifname);
    return NULL;
  }
  napi_value result, value;
  napi_create_object(env, &result);
  napi_set_named_property(env, result, "port", small(env, port));
  napi_create_string_utf8(env, r.ifname, NAPI_AUTO_LENGTH, &value);
  napi_set_named_property(env, result, "ifname", value);
  napi_set_named_property(env, result, "mac", number(env, mac_to_number(r.mac)));
  napi_set_named_property(env, result, "offloads", small(env, (int)r.offloads));
  return result;
}

struct closing {
  napi_async_work work;
  int fd;
};

static void close_fd(napi_env env, void *data) {
  close(((struct closing *)data)->fd);
}

static void after_close(napi_env env, napi_status status, void *data) {
  napi_delete_async_work(env, ((struct closing *)data)->work);
  free(data);
}

// Destroying a device waits for an RCU grace period (tens of milliseconds): a thread of libuv's pool waits instead of us.
static void close_elsewhere(napi_env env, int fd) {
  struct closing *c = malloc(sizeof *c);
  napi_value name;
  if (c && napi_create_string_utf8(env, "podwire:closeTap", NAPI_AUTO_LENGTH, &name) == napi_ok &&
      napi_create_async_work(env, NULL, name, close_fd, after_close, c, &c->work) == napi_ok) {
    c->fd = fd;
    if (napi_queue_async_work(env, c->work) == napi_ok) return;
    napi_delete_async_work(env, c->work);
  }
  free(c);
  close(fd);
}

// closeTap(set, port): the port is free at once, the device goes a little later.
static napi_value close_tap(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  int32_t port;
  if (!arguments(env, info, 2, argv)) return NULL;
  struct handle *h = unwrap(env, argv[0]);
  if (!h || napi_get_value_int32(env, argv[1], &port) != napi_ok) return NULL;
  int fd = set_remove(&h->set, port);
  if (fd >= 0) close_elsewhere(env, fd);
  return NULL;
}

typedef int (*batch)(struct tap_set *set, int count);

static napi_value run_batch(napi_env env, napi_callback_info info, batch move) {
  napi_value argv[2];
  int32_t count;
  if (!arguments(env, info, 2, argv)) return NULL;
  struct handle *h = unwrap(env, argv[0]);
  if (!h || napi_get_value_int32(env, argv[1], &count) != napi_ok) return NULL;
  return small(env, move(&h->set, count));
}

// readBatch(set, max) -> entries filled
static napi_value read_batch(napi_env env, napi_callback_info info) {
  return run_batch(env, info, set_read);
}

// discardBatch(set, max) -> packets thrown away
static napi_value discard_batch(napi_env env, napi_callback_info info) {
  return run_batch(env, info, set_discard);
}

// writeBatch(set, count) -> packets lost
static napi_value write_batch(napi_env env, napi_callback_info info) {
  return run_batch(env, info, set_write);
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"createSet", NULL, create_set, NULL, NULL, NULL, napi_enumerable, NULL},
      {"closeSet", NULL, close_set, NULL, NULL, NULL, napi_enumerable, NULL},
      {"openTap", NULL, open_tap, NULL, NULL, NULL, napi_enumerable, NULL},
      {"closeTap", NULL, close_tap, NULL, NULL, NULL, napi_enumerable, NULL},
      {"readBatch", NULL, read_batch, NULL, NULL, NULL, napi_enumerable, NULL},
      {"discardBatch", NULL, discard_batch, NULL, NULL, NULL, napi_enumerable, NULL},
      {"writeBatch", NULL, write_batch, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  return exports;
}
