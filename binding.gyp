{
  'targets': [
    {
      'target_name': 'podwire',
      'sources': ['native/addon.c', 'native/tap.c', 'native/set.c'],
      'defines': ['NAPI_VERSION=8', '_GNU_SOURCE'],
      'cflags': ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Wno-unused-parameter'],
      'ldflags': ['-pthread'],
    },
    {
      # Process 1 of a netns Pod, and what starts programs in it.
      'target_name': 'pod-init',
      'type': 'executable',
      'sources': ['native/pod-init.c', 'native/pod-web.c'],
      'cflags': ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Wno-format-truncation'],
    },
  ],
}
