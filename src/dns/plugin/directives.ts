// The plugins there are, in the order in which they see a request, whatever their order in the Corefile (CoreDNS plugin.cfg,
// core/dnsserver/zdirectives.go, version 1.12; the plugins we lack left out).
import { autopathPlugin } from './autopath/setup.ts';
import { bindPlugin } from './bind/setup.ts';
import { cachePlugin } from './cache/setup.ts';
import { errorsPlugin } from './errors/setup.ts';
import { filePlugin } from './file/setup.ts';
import { forwardPlugin } from './forward/setup.ts';
import { healthPlugin } from './health/setup.ts';
import { hostsPlugin } from './hosts/setup.ts';
import { k8sExternalPlugin } from './k8s_external/setup.ts';
import { kubernetesPlugin } from './kubernetes/setup.ts';
import { loadbalancePlugin } from './loadbalance/setup.ts';
import { logPlugin } from './log/setup.ts';
import { loopPlugin } from './loop/setup.ts';
import type { Plugin } from './plugin.ts';
import { prometheusPlugin } from './prometheus/setup.ts';
import { readyPlugin } from './ready/setup.ts';
import { reloadPlugin } from './reload/setup.ts';
import { rewritePlugin } from './rewrite/setup.ts';
import { templatePlugin } from './template/setup.ts';
import { transferPlugin } from './transfer/setup.ts';

export const DIRECTIVES: readonly Plugin[] = [
  reloadPlugin,
  bindPlugin,
  readyPlugin,
  healthPlugin,
  prometheusPlugin,
  errorsPlugin,
  logPlugin,
  loadbalancePlugin,
  cachePlugin,
  rewritePlugin,
  autopathPlugin,
  templatePlugin,
  transferPlugin,
  hostsPlugin,
  k8sExternalPlugin,
  kubernetesPlugin,
  filePlugin,
  loopPlugin,
  forwardPlugin,
];
