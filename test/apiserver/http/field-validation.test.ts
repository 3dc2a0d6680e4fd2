// fieldValidation: what happens to fields that a kind does not have, or that come twice, by every verb; and values of wrong types.
import t from 'tap';
import { HttpsApi } from '../../support/https-api.ts';
import { Kubectl, needsKubectl } from '../../support/kubectl.ts';

const CONFIGMAPS = '/api/v1/namespaces/default/configmaps';
const SERVICES = '/api/v1/namespaces/default/services';

const cm = (rest: string): string => `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"}${rest}}`;

t.test('Strict refuses, Warn tells, Ignore is silent', async (t) => {
  const api = await HttpsApi.start(t);
  const body = cm(',"dta":{"a":"b"},"data":{"x":"1","x":"2"}');
  const strict = await api.fetch('POST', `${CONFIGMAPS}?fieldValidation=Strict`, { body });
  t.match(strict, {
    code: 400,
    json: {
      reason: 'BadRequest',
      message:
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: duplicate field "data.x", unknown field "dta"',
    },
  });
  const warned = await api.fetch('POST', `${CONFIGMAPS}?dryRun=All`, { body });
  t.equal(warned.code, 201);
  t.equal(warned.headers['warning'], '299 - "duplicate field \\"data.x\\"", 299 - "unknown field \\"dta\\""');
  t.same(warned.json.data, { x: '2' }, 'the last one counts');
  const ignored = await api.fetch('POST', `${CONFIGMAPS}?fieldValidation=Ignore`, { body });
  t.equal(ignored.code, 201);
  t.equal(ignored.headers['warning'], undefined);
  t.notOk('dta' in ignored.json);
  const twice = await api.fetch('POST', `${CONFIGMAPS}?fieldValidation=Strict`, {
    body: 'kind: ConfigMap\nmetadata: {name: b}\ndata:\n  x: "1"\n  x: "2"\n',
    headers: { 'Content-Type': 'application/yaml' },
  });
  t.match(twice, { code: 400, json: { message: /strict decoding error: yaml: unmarshal errors:\n {2}line 5: key/ } });
  t.match(await api.fetch('POST', `${CONFIGMAPS}?fieldValidation=Loud`, { body }), { code: 422 });
});

t.test('patches: each kind in its own words', async (t) => {
  const api = await HttpsApi.start(t);
  await api.fetch('POST', CONFIGMAPS, { body: cm('') });
  const patch = (type: string, body: string, query = 'fieldValidation=Strict') =>
    api.fetch('PATCH', `${CONFIGMAPS}/a?${query}`, { body, headers: { 'Content-Type': `application/${type}+json` } });
  t.match(await patch('strategic-merge-patch', '{"dta":{"a":"b"}}'), {
    code: 422,
    json: {
      reason: 'Invalid',
      message: ' "" is invalid: patch: Invalid value: "map[dta:map[a:b]]": strict decoding error: unknown field "dta"',
    },
  });
  t.match(await patch('merge-patch', '{"dta":1}'), {
    code: 422,
    json: { message: /^ "" is invalid: patch: Invalid value: "\{.*\}": strict decoding error: unknown field "dta"$/ },
  });
  t.match(await patch('json-patch', '[{"op":"add","path":"/data","path":"/data","value":{}}]'), {
    code: 422,
    json: { message: /strict decoding error: json patch duplicate field "\[0\]\.path"$/ },
  });
  const warned = await patch('merge-patch', '{"dta":1}', '');
  t.match(warned, { code: 200, headers: { warning: '299 - "unknown field \\"dta\\""' } });
  t.match(await patch('merge-patch', '{"data":{"a":1}}'), {
    code: 422,
    json: { message: /json: cannot unmarshal number into Go struct field ConfigMap.data of type string$/ },
  });
  t.match(await patch('merge-patch', '{'), {
    code: 400,
    json: { message: 'error decoding patch: unexpected end of JSON input' },
  });
});

t.test('wrong types and wrong kinds', async (t) => {
  const api = await HttpsApi.start(t);
  const post = async (path: string, body: string): Promise<string> => {
    const { code, json } = await api.fetch('POST', path, { body });
    return `${code} ${json.message}`;
  };
  t.equal(
    await post(
      SERVICES,
      '{"kind":"Service","apiVersion":"v1","metadata":{"name":"s"},"spec":{"ports":[{"port":"80"}]}}',
    ),
    '400 Service in version "v1" cannot be handled as a Service: json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32',
  );
  t.equal(
    await post(CONFIGMAPS, '{"kind":"Service","apiVersion":"v1","metadata":{"name":"s"}}'),
    '400 Service in version "v1" cannot be handled as a ConfigMap: converting (v1.Service) to (core.ConfigMap): unknown conversion',
  );
  t.equal(
    await post(CONFIGMAPS, '{"kind":"Wombat","apiVersion":"v1","metadata":{"name":"s"}}'),
    '400 Wombat in version "v1" cannot be handled as a ConfigMap: no kind "Wombat" is registered for version "v1" in scheme "pkg/api/legacyscheme/scheme.go:30"',
  );
  t.equal(
    await post(CONFIGMAPS, '{'),
    `400 the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input ({)`,
  );
  t.equal(
    await post(CONFIGMAPS, 'kind: ConfigMap'),
    `400 the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid character 'k' looking for beginning of value (6b696e643a20436f6e6669674d6170)`,
  );
  t.equal(
    await post(CONFIGMAPS, ''),
    `400 the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)`,
  );
});

if (needsKubectl(t)) {
  t.test('kubectl: create and apply are strict, --validate=warn warns', async (t) => {
    const { kubectl } = await Kubectl.ofApi(t);
    const create = (verb: string, text: string, ...flags: string[]) => kubectl.args([verb, '-f', '-', ...flags], text);
    const body = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndta: {}\n';
    const refused = await create('create', body);
    t.equal(
      refused.stderr,
      'Error from server (BadRequest): error when creating "STDIN": ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "dta"\n',
    );
    const warned = await create('create', body, '--validate=warn');
    t.same(warned, { code: 0, stdout: 'configmap/a created\n', stderr: 'Warning: unknown field "dta"\n' });
    const applied = await create('apply', `${body}data: {x: "1"}\n`);
    t.match(applied.stderr, /strict decoding error: unknown field "dta"\n$/);
    t.equal((await create('apply', body, '--validate=ignore')).stdout, 'configmap/a configured\n');
  });
}
