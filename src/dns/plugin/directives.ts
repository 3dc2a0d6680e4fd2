// The plugins there are, in the order in which they see a request, whatever their order in the Corefile (CoreDNS plugin.cfg,
// core/dnsserver/zdirectives.go, version 1.14; the plugins we lack left out).

import { aclPlugin } from './acl/setup.ts';
import { anyPlugin } from './any/setup.ts';
import { autopathPlugin } from './autopath/setup.ts';
import { bindPlugin } from './bind/setup.ts';
import { bufsizePlugin } from './bufsize/setup.ts';
import { cachePlugin } from './cache/setup.ts';
import { chaosPlugin } from './chaos/setup.ts';
import { debugPlugin } from './debug/setup.ts';
import { errorsPlugin } from './errors/setup.ts';
import { filePlugin } from './file/setup.ts';
import { forwardPlugin } from './forward/setup.ts';
import { headerPlugin } from './header/setup.ts';
import { healthPlugin } from './health/setup.ts';
import { hostsPlugin } from './hosts/setup.ts';
import { k8sExternalPlugin } from './k8s_external/setup.ts';
import { kubernetesPlugin } from './kubernetes/setup.ts';
import { loadbalancePlugin } from './loadbalance/setup.ts';
import { localPlugin } from './local/setup.ts';
import { logPlugin } from './log/setup.ts';
import { loopPlugin } from './loop/setup.ts';
import { minimalPlugin } from './minimal/setup.ts';
import { nsidPlugin } from './nsid/setup.ts';
import type { Plugin } from './plugin.ts';
import { prometheusPlugin } from './prometheus/setup.ts';
import { readyPlugin } from './ready/setup.ts';
import { reloadPlugin } from './reload/setup.ts';
import { rewritePlugin } from './rewrite/setup.ts';
import { rootPlugin } from './root/setup.ts';
import { templatePlugin } from './template/setup.ts';
import { transferPlugin } from './transfer/setup.ts';
import { whoamiPlugin } from './whoami/setup.ts';

export const DIRECTIVES: readonly Plugin[] = [
  rootPlugin,
  reloadPlugin,
  nsidPlugin,
  bufsizePlugin,
  bindPlugin,
  debugPlugin,
  readyPlugin,
  healthPlugin,
  prometheusPlugin,
  errorsPlugin,
  logPlugin,
  localPlugin,
  anyPlugin,
  chaosPlugin,
  loadbalancePlugin,
  cachePlugin,
  rewritePlugin,
  aclPlugin,
  headerPlugin,
  autopathPlugin,
  minimalPlugin,
  templatePlugin,
  transferPlugin,
  hostsPlugin,
  k8sExternalPlugin,
  kubernetesPlugin,
  filePlugin,
  loopPlugin,
  forwardPlugin,
  whoamiPlugin,
];
