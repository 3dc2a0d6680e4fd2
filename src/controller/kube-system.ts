// The objects of the cluster DNS, as `kubeadm` makes them (cmd/kubeadm/app/phases/addons/dns/manifests.go, 1.32), and the
// RuntimeClasses of this project. Text, because users know them as text; one document an object.
// Deviation from kubeadm: the image name is that of our catalog, runtimeClassName says that CoreDNS runs in the Node's own
// thread, and nodeSelector, affinity and securityContext are left out since nothing here looks at them.
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../api/meta.ts';

export interface KubeSystemOptions {
  /** ClusterIP of kube-dns. */
  readonly clusterDNS: string;
  readonly clusterDomain: string;
  readonly coreDNSReplicas: number;
}

/** The cluster DNS's configuration: kubeadm's. */
export function corefile(clusterDomain: string): string {
  return `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes ${clusterDomain} in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success ${clusterDomain}
       disable denial ${clusterDomain}
    }
    loop
    reload
    loadbalance
}
`;
}

/** YAML: the documents in the order in which they must be made. */
export function kubeSystemManifests({ clusterDNS, clusterDomain, coreDNSReplicas }: KubeSystemOptions): string {
  return `apiVersion: v1
kind: ConfigMap
metadata:
  name: coredns
  namespace: kube-system
data:
  Corefile: |
${corefile(clusterDomain).replace(/^(?=.)/gm, '    ')}---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: coredns
  namespace: kube-system
---
apiVersion: v1
kind: Service
metadata:
  name: kube-dns
  namespace: kube-system
  labels:
    k8s-app: kube-dns
    kubernetes.io/cluster-service: "true"
    kubernetes.io/name: CoreDNS
  annotations:
    prometheus.io/port: "9153"
    prometheus.io/scrape: "true"
spec:
  clusterIP: ${clusterDNS}
  selector:
    k8s-app: kube-dns
  ports:
  - name: dns
    port: 53
    protocol: UDP
    targetPort: 53
  - name: dns-tcp
    port: 53
    protocol: TCP
    targetPort: 53
  - name: metrics
    port: 9153
    protocol: TCP
    targetPort: 9153
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: coredns
  namespace: kube-system
  labels:
    k8s-app: kube-dns
spec:
  replicas: ${coreDNSReplicas}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 1
  selector:
    matchLabels:
      k8s-app: kube-dns
  template:
    metadata:
      labels:
        k8s-app: kube-dns
    spec:
      runtimeClassName: userspace
      priorityClassName: system-cluster-critical
      serviceAccountName: coredns
      tolerations:
      - key: CriticalAddonsOnly
        operator: Exists
      - key: node-role.kubernetes.io/control-plane
        effect: NoSchedule
      containers:
      - name: coredns
        image: coredns
        imagePullPolicy: IfNotPresent
        resources:
          limits:
            memory: 170Mi
          requests:
            cpu: 100m
            memory: 70Mi
        args: ["-conf", "/etc/coredns/Corefile"]
        volumeMounts:
        - name: config-volume
          mountPath: /etc/coredns
          readOnly: true
        ports:
        - containerPort: 53
          name: dns
          protocol: UDP
        - containerPort: 53
          name: dns-tcp
          protocol: TCP
        - containerPort: 9153
          name: metrics
          protocol: TCP
        livenessProbe:
          httpGet:
            path: /health
            port: 8080
            scheme: HTTP
          initialDelaySeconds: 60
          timeoutSeconds: 5
          successThreshold: 1
          failureThreshold: 5
        readinessProbe:
          httpGet:
            path: /ready
            port: 8181
            scheme: HTTP
      dnsPolicy: Default
      volumes:
      - name: config-volume
        configMap:
          name: coredns
          items:
          - key: Corefile
            path: Corefile
`;
}

export const RUNTIME_CLASSES = `apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata:
  name: netns
handler: netns
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata:
  name: userspace
handler: userspace
`;

/** The objects of a text of ours; it is well-formed, so nothing is checked. */
export function objectsOf(text: string): KubeObject[] {
  return parseAllDocuments(text).map((document) => document.toJS() as KubeObject);
}
