// pod-init: what a container runtime's low level is to the kubelet, for Pods of the `netns` runtime. Four subcommands:
//
//   pod-init sandbox --netns PATH --hostname NAME --root DIR [--bind SRC DST]...
//       Process 1 of a Pod (the "pause" container): joins the network namespace, makes UTS, IPC, PID and mount namespaces, mounts
//       the host's root read-only below a private writable layer (overlayfs; DIR holds layer and mount point), binds files
//       over it, prints "PID\n" when the Pod is ready, and then reaps orphans until its stdin closes. Whatever ends
//       Podwire closes that pipe, so no Pod outlives it; with process 1 the kernel ends every process of the Pod.
//   pod-init exec --target PID [--cwd DIR] [--env K=V]... [--tty] -- COMMAND [ARG]...
//       Runs a program in the Pod and passes on its exit code (128 + signal when killed). SIGTERM, SIGINT, SIGHUP, SIGQUIT go
//       to the program, SIGUSR2 kills its whole process group. With --tty the program gets a terminal; file
//       descriptor 3 then takes "COLUMNS ROWS\n" lines.
//   pod-init forward --netns PATH --port N
//       Connects to N on the loopback address of a network namespace, writes one zero byte, then passes stdin to the connection and
//       the connection to stdout, each way until its end. Without a connection: two lines on stderr, why not over IPv4 and IPv6.
//   pod-init web ...     see pod-web.c
//
// It knows namespaces, mounts and processes; addresses and routes are set by the kubelet's CNI before containers start.
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int web_main(int argc, char **argv);

static void die(const char *format, ...) {
  int error = errno;
  va_list args;
  va_start(args, format);
  fprintf(stderr, "pod-init: ");
  vfprintf(stderr, format, args);
  va_end(args);
  fprintf(stderr, ": %s\n", strerror(error));
  exit(125);
}

// ---- sandbox -------------------------------------------------------------------------------------------------------

static void make_parents(const char *path) {
  char copy[4096];
  snprintf(copy, sizeof copy, "%s", path);
  for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    mkdir(copy, 0755); // EEXIST is the usual case; what really fails shows in the mount
    *slash = '/';
  }
}

// The mount point must exist in the Pod's layer and be of the same kind as the source. A symbolic link there (Debian with
// systemd-resolved has one at /etc/resolv.conf) is replaced, else the mount would land on its target.
static void bind_over(const char *source, const char *root, const char *target) {
  char path[4096];
  struct stat st, there;
  snprintf(path, sizeof path, "%s%s", root, target);
  if (stat(source, &st) < 0) die("bind %s", source);
  make_parents(path);
  if (lstat(path, &there) == 0 && S_ISLNK(there.st_mode)) unlink(path);
  if (S_ISDIR(st.st_mode)) {
    mkdir(path, 0755);
  } else {
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0) close(fd);
  }
  if (mount(source, path, NULL, MS_BIND | MS_REC, NULL) < 0) die("bind %s to %s", source, target);
}

static int is_virtual(const char *type) {
  static const char *const kinds[] = {"proc",     "sysfs",    "devtmpfs", "devpts",  "cgroup", "cgroup2", "nsfs",   "mqueue", "tracefs", "debugfs",
                                      "securityfs", "configfs", "fusectl",  "pstore",  "bpf",    "binfmt_misc", "hugetlbfs", "autofs", "overlay", "tmpfs"};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(type, kinds[i]) == 0) return 1;
  return 0;
}

// File systems mounted below / (a separate /home, /usr, ...) are not part of an overlay over /: bind each at its place.
static void bind_host_mounts(const char *root) {
  FILE *table = fopen("/proc/self/mountinfo", "re");
  char line[8192];
  if (!table) return;
  while (fgets(line, sizeof line, table)) {
    char point[4096], type[64], to[8192];
    char *dash = strstr(line, " - ");
    struct stat st, there;
    if (!dash || sscanf(line, "%*s %*s %*s %*s %4095s", point) != 1 || sscanf(dash, " - %63s", type) != 1) continue;
    if (strcmp(point, "/") == 0 || is_virtual(type) || strncmp(point, "/run/", 5) == 0 || strncmp(point, "/tmp/", 5) == 0) continue;
    snprintf(to, sizeof to, "%s%s", root, point);
    if (stat(point, &st) == 0 && stat(to, &there) == 0 && S_ISDIR(st.st_mode) == S_ISDIR(there.st_mode)) mount(point, to, NULL, MS_BIND, NULL);
  }
  fclose(table);
}

static void make_root(const char *dir, char *root, size_t size) {
  char upper[4096], work[4096], options[12300];
  // A tmpfs for the writable layer: overlayfs needs one that is not itself an overlay, and it vanishes with the namespace.
  if (mount("podwire", dir, "tmpfs", MS_NOSUID, "mode=755") < 0) die("tmpfs on %s", dir);
  snprintf(upper, sizeof upper, "%s/upper", dir);
  snprintf(work, sizeof work, "%s/work", dir);
  snprintf(root, size, "%s/root", dir);
  mkdir(upper, 0755);
  mkdir(work, 0755);
  mkdir(root, 0755);
  snprintf(options, sizeof options, "lowerdir=/,upperdir=%s,workdir=%s", upper, work);
  if (mount("podwire", root, "overlay", 0, options) < 0) die("overlay on / (the Pod's writable layer)");
  bind_host_mounts(root);
}

static void mount_below(const char *root, const char *at, const char *type, unsigned long flags, const char *options) {
  char path[4096];
  snprintf(path, sizeof path, "%s%s", root, at);
  mkdir(path, 0755);
  if (mount("podwire", path, type, flags, options) < 0) die("mount %s on %s", type, at);
}

static int reap_until_orphaned(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, NULL);
  int children = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  struct pollfd fds[2] = {{.fd = 0, .events = POLLIN}, {.fd = children, .events = POLLIN}};
  for (;;) {
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return 1;
    if (fds[1].revents) {
      struct signalfd_siginfo info;
      while (read(children, &info, sizeof info) > 0) continue;
      while (waitpid(-1, NULL, WNOHANG) > 0) continue;
    }
    if (fds[0].revents) {
      char byte;
      if (read(0, &byte, 1) <= 0) return 0;
    }
  }
}

static int sandbox_main(int argc, char **argv) {
  const char *netns = NULL, *hostname = NULL, *dir = NULL;
  const char *sources[64], *targets[64];
  int binds = 0;
  for (int i = 0; i < argc; i++) {
    if (!strcmp(argv[i], "--netns") && i + 1 < argc) netns = argv[++i];
    else if (!strcmp(argv[i], "--hostname") && i + 1 < argc) hostname = argv[++i];
    else if (!strcmp(argv[i], "--root") && i + 1 < argc) dir = argv[++i];
    else if (!strcmp(argv[i], "--bind") && i + 2 < argc && binds < 64) {
      sources[binds] = argv[++i];
      targets[binds++] = argv[++i];
    } else {
      fprintf(stderr, "pod-init: sandbox: unexpected argument %s\n", argv[i]);
      return 125;
    }
  }
  if (!netns || !hostname || !dir) {
    fprintf(stderr, "pod-init: sandbox needs --netns, --hostname and --root\n");
    return 125;
  }
  int ns = open(netns, O_RDONLY | O_CLOEXEC);
  if (ns < 0) die("open %s", netns);
  if (setns(ns, CLONE_NEWNET) < 0) die("setns %s", netns);
  if (unshare(CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWPID) < 0) die("unshare");
  pid_t init = fork();
  if (init < 0) die("fork");
  if (init > 0) {
    // The parent tells the kubelet process 1's id as seen outside, and shares its end.
    int status;
    prctl(PR_SET_NAME, "pod-sandbox");
    close(1);
    while (waitpid(init, &status, 0) < 0 && errno == EINTR) continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NAME, "pause");
  // Own id outside: /proc still belongs to the outer PID namespace until proc is mounted again below.
  char self[64];
  ssize_t n = readlink("/proc/self", self, sizeof self - 1);
  if (n < 0) die("readlink /proc/self");
  self[n] = 0;

  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) die("make / private");
  char root[4200];
  make_root(dir, root, sizeof root);
  mount_below(root, "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  mount_below(root, "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL);
  bind_over("/dev", root, "/dev");
  mount_below(root, "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620");
  mount_below(root, "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
  mount_below(root, "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
  mount_below(root, "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
  int files[64];
  for (int i = 0; i < binds; i++)
    if ((files[i] = open(sources[i], O_PATH | O_CLOEXEC)) < 0) die("open %s", sources[i]);
  if (sethostname(hostname, strlen(hostname)) < 0) die("sethostname %s", hostname);

  if (chdir(root) < 0) die("chdir %s", root);
  if (syscall(SYS_pivot_root, ".", ".") < 0) die("pivot_root");
  // Only now: a symbolic link on the way to a target (/var/run) must lead inside the Pod. The sources are outside it, held open.
  for (int i = 0; i < binds; i++) {
    char source[64];
    snprintf(source, sizeof source, "/proc/self/fd/%d", files[i]);
    bind_over(source, "", targets[i]);
    close(files[i]);
  }
  if (umount2(".", MNT_DETACH) < 0) die("detach the old root");
  if (chdir("/") < 0) die("chdir /");
  dprintf(1, "%s\n", self);
  close(1);
  return reap_until_orphaned();
}

// ---- exec ----------------------------------------------------------------------------------------------------------

static pid_t child = 0;

static void forward(int signal) {
  if (child <= 0) return;
  if (signal == SIGUSR2) kill(-child, SIGKILL);
  else kill(child, signal);
}

static void join(const char *target) {
  static const struct {
    const char *name;
    int flag;
  } kinds[] = {{"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS}, {"net", CLONE_NEWNET}, {"pid", CLONE_NEWPID}, {"mnt", CLONE_NEWNS}};
  int fds[5];
  char path[128];
  for (int i = 0; i < 5; i++) {
    snprintf(path, sizeof path, "/proc/%s/ns/%s", target, kinds[i].name);
    fds[i] = open(path, O_RDONLY | O_CLOEXEC);
    if (fds[i] < 0) die("open %s (is the Pod still there?)", path);
  }
  for (int i = 0; i < 5; i++)
    if (setns(fds[i], kinds[i].flag) < 0) die("setns %s", kinds[i].name);
}

// Worded as runc words it, which is what users of kubectl exec know.
static void exec_or_explain(char **command) {
  execvp(command[0], command);
  if (errno == ENOENT && !strchr(command[0], '/')) fprintf(stderr, "exec: \"%s\": executable file not found in $PATH\n", command[0]);
  else fprintf(stderr, "exec: \"%s\": %s\n", command[0], strerror(errno));
  _exit(errno == ENOENT ? 127 : 126);
}

static void resize(int master) {
  char text[64];
  ssize_t n = read(3, text, sizeof text - 1);
  if (n <= 0) {
    close(3);
    return;
  }
  text[n] = 0;
  // Several may have come: the last one holds.
  char *end = strrchr(text, '\n');
  if (end) *end = 0;
  char *before = strrchr(text, '\n');
  struct winsize size = {0};
  if (sscanf(before ? before + 1 : text, "%hu %hu", &size.ws_col, &size.ws_row) == 2) ioctl(master, TIOCSWINSZ, &size);
}

static int pump(int from, int to) {
  char buffer[16384];
  ssize_t n = read(from, buffer, sizeof buffer);
  if (n <= 0) return 0;
  for (ssize_t done = 0; done < n;) {
    ssize_t w = write(to, buffer + done, n - done);
    if (w < 0 && errno == EINTR) continue;
    if (w <= 0) return 0;
    done += w;
  }
  return 1;
}

static int wait_for_child(void) {
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return 125;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Copies both ways until the program's side of the terminal is closed for good (EIO from the master).
static int bridge_terminal(int master) {
  struct pollfd fds[3] = {{.fd = master, .events = POLLIN}, {.fd = 0, .events = POLLIN}, {.fd = 3, .events = POLLIN}};
  if (fcntl(3, F_GETFD) < 0) fds[2].fd = -1;
  for (;;) {
    if (poll(fds, 3, -1) < 0) {
      if (errno == EINTR) continue;
      break;
    }
    if (fds[0].revents && !pump(master, 1)) break;
    if (fds[1].revents && !pump(0, master)) {
      char end = 4; // the client closed its stdin: say end-of-file as a terminal does
      if (write(master, &end, 1) < 0) break;
      fds[1].fd = -1;
    }
    if (fds[2].revents) {
      if (fds[2].revents & POLLIN) resize(master);
      else fds[2].fd = -1;
    }
  }
  return wait_for_child();
}

static int exec_main(int argc, char **argv) {
  const char *target = NULL, *cwd = "/";
  int tty = 0, i = 0;
  for (; i < argc && strcmp(argv[i], "--"); i++) {
    if (!strcmp(argv[i], "--target") && i + 1 < argc) target = argv[++i];
    else if (!strcmp(argv[i], "--cwd") && i + 1 < argc) cwd = argv[++i];
    else if (!strcmp(argv[i], "--env") && i + 1 < argc) putenv(argv[++i]);
    else if (!strcmp(argv[i], "--tty")) tty = 1;
    else {
      fprintf(stderr, "pod-init: exec: unexpected argument %s\n", argv[i]);
      return 125;
    }
  }
  char **command = argv + i + 1;
  if (!target || i + 1 >= argc) {
    fprintf(stderr, "pod-init: exec needs --target PID and -- COMMAND\n");
    return 125;
  }
  join(target);
  if (chdir(cwd) < 0) die("chdir %s", cwd);
  int master = -1;
  char terminal[64] = "";
  if (tty) {
    master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) die("open a terminal");
    if (ptsname_r(master, terminal, sizeof terminal)) die("ptsname");
  }
  static const int forwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR2};
  struct sigaction action = {.sa_handler = forward};
  for (size_t s = 0; s < sizeof forwarded / sizeof *forwarded; s++) sigaction(forwarded[s], &action, NULL);
  child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t s = 0; s < sizeof forwarded / sizeof *forwarded; s++) signal(forwarded[s], SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    if (tty) {
      int fd = open(terminal, O_RDWR);
      if (fd < 0) die("open %s", terminal);
      ioctl(fd, TIOCSCTTY, 0);
      dup2(fd, 0);
      dup2(fd, 1);
      dup2(fd, 2);
      if (fd > 2) close(fd);
    }
    close(3);
    exec_or_explain(command);
  }
  if (tty) return bridge_terminal(master);
  // The program holds these now; keeping them open here would hide its closing them.
  close(0);
  close(1);
  return wait_for_child();
}

// ---- forward -------------------------------------------------------------------------------------------------------

// Worded as Go words errno.
static int connect_loopback(int family, int port) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && (family == AF_INET ? connect(fd, (struct sockaddr *)&in, sizeof in) : connect(fd, (struct sockaddr *)&in6, sizeof in6)) == 0)
    return fd;
  const char *why = strerror(errno);
  fprintf(stderr, "%c%s\n", tolower(why[0]), why + 1);
  if (fd >= 0) close(fd);
  return -1;
}

static int forward_main(int argc, char **argv) {
  const char *netns = NULL;
  int port = 0;
  for (int i = 0; i + 1 < argc; i += 2) {
    if (!strcmp(argv[i], "--netns")) netns = argv[i + 1];
    else if (!strcmp(argv[i], "--port")) port = atoi(argv[i + 1]);
  }
  if (!netns || port < 1 || port > 65535) {
    fprintf(stderr, "pod-init: forward needs --netns PATH and --port N\n");
    return 125;
  }
  int ns = open(netns, O_RDONLY | O_CLOEXEC);
  if (ns < 0) die("open %s", netns);
  if (setns(ns, CLONE_NEWNET) < 0) die("setns %s", netns);
  int fd = connect_loopback(AF_INET, port);
  if (fd < 0) fd = connect_loopback(AF_INET6, port);
  if (fd < 0) return 1;
  signal(SIGPIPE, SIG_IGN);
  if (write(1, "", 1) != 1) return 1;
  // A process each way: either may wait for its reader.
  pid_t upward = fork();
  if (upward < 0) die("fork");
  if (upward == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(1);
    while (pump(0, fd)) continue;
    shutdown(fd, SHUT_WR);
    _exit(0);
  }
  close(0);
  while (pump(fd, 1)) continue;
  close(1);
  while (waitpid(upward, NULL, 0) < 0 && errno == EINTR) continue;
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "sandbox")) return sandbox_main(argc - 2, argv + 2);
  if (argc > 1 && !strcmp(argv[1], "exec")) return exec_main(argc - 2, argv + 2);
  if (argc > 1 && !strcmp(argv[1], "forward")) return forward_main(argc - 2, argv + 2);
  if (argc > 1 && !strcmp(argv[1], "web")) return web_main(argc - 2, argv + 2);
  fprintf(stderr, "usage: pod-init sandbox|exec|forward|web ...\n");
  return 125;
}
