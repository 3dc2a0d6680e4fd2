{
  'targets': [
    {
      'target_name': 'podwire',
      'sources': ['native/addon.c', 'native/tap.c', 'native/set.c'],
      'defines': ['NAPI_VERSION=8', '_GNU_SOURCE'],
      'cflags': ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Wno-unused-parameter'],
      'ldflags': ['-pthread'],
    },
  ],
  'conditions': [
    # The first process of a netns Pod; a program of its own, built beside the addon as build/Release/pod-init.
    ['"<!(test -f native/pod-init.c && echo yes || echo no)"=="yes"', {
      'targets': [
        {
          'target_name': 'pod-init',
          'type': 'executable',
          'sources': ['<!@(ls native/pod-*.c)'],
          'cflags': ['-std=gnu11', '-O2', '-Wall', '-Wextra'],
        },
      ],
    }],
  ],
}
