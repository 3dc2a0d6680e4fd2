// pod-web: the small web server behind the built-in images of `netns` Pods (nginx, the k8sbook greeters, agnhost netexec).
// The `userspace` runtime has the same program in TypeScript, src/node/workloads/web.ts, with the same flags:
//
//   pod-init web --port N [--server NAME] [--body TEXT] [--netexec]
//
// Every GET or HEAD of any path is answered with TEXT, in which %h stands for the hostname; with --netexec /hostname,
// /clientip, /echo?msg=, /healthz and /exit?code= answer as agnhost's netexec does. One access line per request, in nginx's
// combined format, goes to stdout. HTTP/1.1 with keep-alive, one thread, one epoll loop.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_REQUEST = 16384 };

struct client {
  int fd;
  struct sockaddr_in peer;
  size_t filled;
  char request[MAX_REQUEST + 1];
};

static const char *server_name = "podwire-web";
static const char *body_text = "";
static int netexec = 0;
static char hostname[256];

static void stop(int signal) {
  (void)signal;
  _exit(0);
}

static void expand(const char *text, char *out, size_t size) {
  size_t n = 0;
  for (; *text && n + 1 < size; text++) {
    if (text[0] == '%' && text[1] == 'h') {
      n += snprintf(out + n, size - n, "%s", hostname);
      if (n >= size) n = size - 1;
      text++;
    } else {
      out[n++] = *text;
    }
  }
  out[n] = 0;
}

static int send_all(int fd, const char *data, size_t length) {
  while (length > 0) {
    ssize_t n = send(fd, data, length, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return 0;
    data += n;
    length -= n;
  }
  return 1;
}

static int answer_netexec(struct client *c, const char *path, char *body, size_t size) {
  if (!strcmp(path, "/hostname")) snprintf(body, size, "%s", hostname);
  else if (!strcmp(path, "/clientip")) snprintf(body, size, "%s:%d", inet_ntoa(c->peer.sin_addr), ntohs(c->peer.sin_port));
  else if (!strncmp(path, "/echo?msg=", 10)) snprintf(body, size, "%s", path + 10);
  else if (!strcmp(path, "/healthz") || !strcmp(path, "/")) snprintf(body, size, "%s", "OK\n");
  else if (!strncmp(path, "/exit?code=", 11)) _exit(atoi(path + 11));
  else return 404;
  return 200;
}

// Answers one request whose header block is complete. Returns whether the connection stays open.
static int answer(struct client *c) {
  char method[16], path[2048], version[16], body[32768], head[512], when[64];
  body[0] = 0;
  int status = 400;
  int parsed = sscanf(c->request, "%15s %2047s %15s", method, path, version) == 3;
  int head_only = parsed && !strcmp(method, "HEAD");
  if (!parsed) {
    strcpy(method, "-");
    strcpy(path, "-");
    strcpy(version, "-");
  } else if (strcmp(method, "GET") && !head_only) {
    status = 405;
  } else if (netexec) {
    status = answer_netexec(c, path, body, sizeof body);
  } else {
    status = 200;
    expand(body_text, body, sizeof body);
  }
  const char *phrase = status == 200 ? "OK" : status == 404 ? "Not Found" : status == 405 ? "Method Not Allowed" : "Bad Request";
  if (status != 200) snprintf(body, sizeof body, "%d %s\n", status, phrase);
  int keep = parsed && !strcmp(version, "HTTP/1.1") && !strcasestr(c->request, "\nconnection: close");
  time_t now = time(NULL);
  struct tm tm;
  gmtime_r(&now, &tm);
  strftime(when, sizeof when, "%a, %d %b %Y %H:%M:%S GMT", &tm);
  int length = snprintf(head, sizeof head,
                        "HTTP/1.1 %d %s\r\nServer: %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: %s\r\n\r\n", status,
                        phrase, server_name, when, body[0] == '<' ? "text/html" : "text/plain; charset=utf-8", strlen(body), keep ? "keep-alive" : "close");
  int sent = send_all(c->fd, head, length) && (head_only || send_all(c->fd, body, strlen(body)));
  strftime(when, sizeof when, "%d/%b/%Y:%H:%M:%S +0000", &tm);
  printf("%s - - [%s] \"%s %s %s\" %d %zu \"-\" \"-\"\n", inet_ntoa(c->peer.sin_addr), when, method, path, version, status, head_only ? 0 : strlen(body));
  fflush(stdout);
  return sent && keep;
}

static int serve(struct client *c) {
  ssize_t n = recv(c->fd, c->request + c->filled, MAX_REQUEST - c->filled, 0);
  if (n <= 0) return n < 0 && errno == EAGAIN;
  c->filled += n;
  for (;;) {
    c->request[c->filled] = 0;
    char *end = strstr(c->request, "\r\n\r\n");
    if (!end) return c->filled < MAX_REQUEST; // a header block that does not fit is not answered
    end[2] = 0;
    if (!answer(c)) return 0;
    size_t used = end + 4 - c->request;
    memmove(c->request, c->request + used, c->filled - used);
    c->filled -= used;
  }
}

int web_main(int argc, char **argv) {
  int port = 80;
  for (int i = 0; i < argc; i++) {
    if (!strcmp(argv[i], "--port") && i + 1 < argc) port = atoi(argv[++i]);
    else if (!strcmp(argv[i], "--server") && i + 1 < argc) server_name = argv[++i];
    else if (!strcmp(argv[i], "--body") && i + 1 < argc) body_text = argv[++i];
    else if (!strcmp(argv[i], "--netexec")) netexec = 1;
    else {
      fprintf(stderr, "web: unexpected argument %s\n", argv[i]);
      return 2;
    }
  }
  signal(SIGTERM, stop);
  signal(SIGINT, stop);
  signal(SIGQUIT, stop);
  gethostname(hostname, sizeof hostname - 1);
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1024) < 0) {
    fprintf(stderr, "web: listen on port %d: %s\n", port, strerror(errno));
    return 1;
  }
  int ep = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(ep, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    struct epoll_event events[64];
    int n = epoll_wait(ep, events, 64, -1);
    for (int i = 0; i < n; i++) {
      struct client *c = events[i].data.ptr;
      if (c) {
        if (!serve(c)) {
          close(c->fd);
          free(c);
        }
        continue;
      }
      struct client *fresh = calloc(1, sizeof *fresh);
      socklen_t size = sizeof fresh->peer;
      if (fresh) fresh->fd = accept4(listener, (struct sockaddr *)&fresh->peer, &size, SOCK_CLOEXEC);
      if (!fresh || fresh->fd < 0) {
        free(fresh);
        continue;
      }
      setsockopt(fresh->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      struct timeval patience = {.tv_sec = 10}; // a client that stops reading or sending does not hold up the others for longer
      setsockopt(fresh->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      event.data.ptr = fresh;
      epoll_ctl(ep, EPOLL_CTL_ADD, fresh->fd, &event);
    }
  }
}
