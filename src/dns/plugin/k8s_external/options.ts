// What the k8s_external plugin is told in the Corefile. TTLs in seconds.

export interface ExternalOptions {
  readonly zones: readonly string[];
  /** The label below a zone under which its name server stands. */
  readonly apex: string;
  readonly ttl: number;
  /** Endpoints of headless Services are served too. */
  readonly headless: boolean;
  /** Zones in which a missing name is passed on; undefined: none. */
  readonly fallthrough: readonly string[] | undefined;
}
