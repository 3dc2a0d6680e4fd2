// The image catalog. There is no container runtime: an image is a name for a workload that this machine can run. `image`
// in a Pod picks an entry, the container's own command and args win over the entry's, as with a real image's ENTRYPOINT and CMD.
// Users add entries in a YAML file (see README): {images: [{names: [...], entrypoint: [...], cmd: [...], env: {...}}]}.
import { createHash } from 'node:crypto';
import { parse } from 'yaml';
import { agnhostWorkload } from './agnhost.ts';
import { DEFAULT_PATH } from './kubelet/environment.ts';
import { APPLETS_IN_POD } from './runtime/busybox.ts';

export interface Image {
  /** Repositories (`nginx`, any tag) or exact references (`nigelpoulton/k8sbook:text-dev`). */
  readonly names: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Turns a command line of the image's own program into that of the workload that stands for it. */
  readonly program?: { readonly path: RegExp; readonly workload: (argv: readonly string[]) => string[] };
}

// A page of 615 bytes: the size users know from the seed's `wget` lines. The words are our own.
const INDEX_PAGE = pad(
  `<!DOCTYPE html>
<html>
<head>
<title>Podwire web server</title>
</head>
<body>
<h1>It works</h1>
<p>You have reached the web server of a Pod. If you came by a Service name, your request was resolved by the cluster DNS,
sent to a ClusterIP, trapped by the Node and translated to the address of this Pod.</p>
<p>See the path it took with <code>podwire trace</code>, or on the wire with <code>podwire capture</code>.</p>
</body>
</html>
`,
  615,
);

const greeter = (text: string): readonly string[] => ['web', '--port', '8080', '--server', 'k8sbook', '--body', text];

const AGNHOST = { path: /^\/?agnhost$/, workload: agnhostWorkload };

/** Also the one catalog of what `ErrImagePull` suggests. */
const BUILT_IN: readonly Image[] = [
  {
    names: ['nginx', 'httpd'],
    entrypoint: ['web', '--port', '80', '--server', 'nginx', '--body', INDEX_PAGE],
    cmd: [],
  },
  {
    names: ['busybox', 'alpine'],
    entrypoint: [],
    cmd: ['sh'],
    env: { PATH: `${APPLETS_IN_POD}:${DEFAULT_PATH}` },
  },
  { names: ['ubuntu', 'debian'], entrypoint: [], cmd: ['/bin/bash'] },
  // Spelled as the real image spells it.
  {
    names: ['nigelpoulton/k8sbook:text-dev'],
    entrypoint: greeter('Hello form the DEV Namespace!\nHostname: %h\n'),
    cmd: [],
  },
  {
    names: ['nigelpoulton/k8sbook:text-prod'],
    entrypoint: greeter('Hello form the PROD Namespace!\nHostname: %h\n'),
    cmd: [],
  },
  { names: ['coredns', 'coredns/coredns', 'registry.k8s.io/coredns/coredns'], entrypoint: ['coredns'], cmd: [] },
  // Without a command and without input they end at once, as the real ones do.
  { names: ['dnsutils', 'gcr.io/kubernetes-e2e-test-images/dnsutils'], entrypoint: [], cmd: ['sh'] },
  { names: ['registry.k8s.io/e2e-test-images/jessie-dnsutils'], entrypoint: [], cmd: ['bash'] },
  {
    names: ['agnhost', 'registry.k8s.io/e2e-test-images/agnhost'],
    entrypoint: ['/agnhost'],
    cmd: ['pause'],
    program: AGNHOST,
  },
  { names: ['netexec'], entrypoint: ['/agnhost', 'netexec'], cmd: [], program: AGNHOST },
  {
    names: ['serve-hostname', 'registry.k8s.io/serve_hostname'],
    entrypoint: ['/agnhost', 'serve-hostname'],
    cmd: [],
    program: AGNHOST,
  },
  { names: ['pause', 'registry.k8s.io/pause'], entrypoint: ['sleep', 'infinity'], cmd: [] },
];

export class ImageCatalog {
  readonly #images: readonly Image[];

  constructor(extra: readonly Image[] = []) {
    this.#images = [...extra, ...BUILT_IN];
  }

  /** The entry of a reference such as `docker.io/library/nginx:1.27@sha256:...`, or undefined. */
  find(reference: string): Image | undefined {
    const candidates = spellings(reference);
    return this.#images.find((image) => image.names.some((name) => candidates.includes(name)));
  }

  /** What a container of this image runs: its own command and args in place of entrypoint and cmd (as in Kubernetes). */
  argvOf(image: Image, command: readonly string[] | undefined, args: readonly string[] | undefined): string[] {
    const argv = command?.length
      ? [...command, ...(args ?? [])]
      : [...image.entrypoint, ...(args?.length ? args : image.cmd)];
    return image.program?.path.test(argv[0] ?? '') ? image.program.workload(argv) : argv;
  }

  /** As a container runtime names what it runs: the repository, and a digest of what the catalog says of it. */
  idOf(reference: string): string {
    const digest = createHash('sha256')
      .update(JSON.stringify(this.find(reference) ?? reference))
      .digest('hex');
    const repository = reference.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
    const [first, ...rest] = repository.split('/');
    const registry = rest.length > 0 && /[.:]|^localhost$/.test(first!);
    const full = registry ? repository : `docker.io/${rest.length > 0 ? repository : `library/${repository}`}`;
    return `${full}@sha256:${digest}`;
  }

  /** Bytes of what the catalog says of it: there is nothing else of it on this machine. */
  sizeOf(reference: string): number {
    return JSON.stringify(this.find(reference) ?? '').length;
  }

  names(): string[] {
    return this.#images.flatMap((image) => image.names);
  }
}

/** Reads a user's catalog file. Throws with the file's name and what was expected. */
export function parseCatalog(text: string, file: string): Image[] {
  const root: unknown = parse(text);
  const images = typeof root === 'object' && root !== null && 'images' in root ? root.images : undefined;
  if (!Array.isArray(images)) throw new Error(`${file}: expected a list under the key "images"`);
  return images.map((entry: unknown, i) => {
    const image = entry as Partial<Record<keyof Image, unknown>>;
    const strings = (key: 'names' | 'entrypoint' | 'cmd'): string[] => {
      const value = image[key] ?? [];
      if (!Array.isArray(value) || value.some((v) => typeof v !== 'string')) {
        throw new Error(`${file}: images[${i}].${key}: expected a list of strings`);
      }
      return value;
    };
    if (strings('names').length === 0) throw new Error(`${file}: images[${i}].names: expected at least one name`);
    if (strings('entrypoint').length + strings('cmd').length === 0) {
      throw new Error(`${file}: images[${i}]: expected an entrypoint or a cmd`);
    }
    return {
      names: strings('names'),
      entrypoint: strings('entrypoint'),
      cmd: strings('cmd'),
      ...(typeof image.env === 'object' && image.env !== null ? { env: image.env as Record<string, string> } : {}),
    };
  });
}

/** The reference itself, then without digest, tag and the registry that Docker leaves out. */
function spellings(reference: string): string[] {
  const out = new Set<string>();
  for (const base of [reference, reference.replace(/^(docker\.io\/)?(library\/)?/, '')]) {
    const noDigest = base.replace(/@.*$/, '');
    for (const form of [base, noDigest, noDigest.replace(/:[^/:]*$/, '')]) out.add(form);
  }
  return [...out];
}

function pad(page: string, size: number): string {
  const missing = size - Buffer.byteLength(page) - '<!---->\n'.length;
  if (missing < 0) throw new Error(`the index page is ${-missing} bytes too long`);
  return `${page}<!--${' '.repeat(missing)}-->\n`;
}
