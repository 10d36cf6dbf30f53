// kubernetes.mjs PROGRAM MODULES WORK - the manifests are what Kubernetes takes (its types find members that it does not
// know, its schemas the rest), their parts fit each other, and the commands in them do what the manifests expect:
// the server answers the probes as the kubelet sends them, a pod of the job makes its line's image.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [program, modules, work] = process.argv.slice(2);
const require = createRequire(join(modules, 'package.json'));
const { parseAllDocuments } = require('yaml');
const folder = 'packaging/kubernetes';

const objects = readdirSync(folder).sort().flatMap((file) =>
  parseAllDocuments(readFileSync(join(folder, file), 'utf8')).map((document) => {
    assert.deepEqual(document.errors, [], file);
    return { file, ...document.toJS() };
  }));
const named = (kind, name) => objects.find((o) => o.kind === kind && (!name || o.metadata.name === name));
const pods = objects.filter((o) => o.spec?.template).map((o) => o.spec.template);

// ---- types and schemas --------------------------------------------------------------------------------

function typed({ file, ...o }, i) {
  return `import { I${o.kind} as T${i} } from 'kubernetes-models/${o.apiVersion}'; // ${file}\n` +
    `export const o${i}: T${i} = ${JSON.stringify(o, null, 1)};\n`;
}

// In the folder of the modules, where the compiler finds them.
const source = join(modules, `manifests-${process.pid}.mts`);
writeFileSync(source, objects.map(typed).join('\n'));
const tsc = spawnSync(process.execPath, [require.resolve('typescript/bin/tsc'), '--noEmit', '--strict', '--skipLibCheck',
  '--module', 'nodenext', '--target', 'es2022', source], { encoding: 'utf8' });
execFileSync('rm', ['-f', source]);
assert.equal(tsc.stdout + tsc.stderr, '', 'Kubernetes knows every member');
for (const { file, ...o } of objects)
  new (require(`kubernetes-models/${o.apiVersion}`)[o.kind])(o).validate();

// ---- parts that must fit ------------------------------------------------------------------------------

const selects = (labels, pod) => Object.entries(labels).every(([k, v]) => pod.metadata.labels[k] === v);
const server = named('Deployment').spec.template, job = named('Job').spec.template;
assert.ok(selects(named('Deployment').spec.selector.matchLabels, server), 'the Deployment selects its pods');
assert.ok(selects(named('Service').spec.selector, server) && !selects(named('Service').spec.selector, job));
for (const pod of pods)
  assert.ok(selects(named('NetworkPolicy', 'veetance').spec.podSelector.matchLabels, pod), 'no pod may call out');
assert.deepEqual(named('NetworkPolicy', 'veetance').spec.egress, []);
for (const pod of pods) {
  const [container] = pod.spec.containers;
  const volumes = pod.spec.volumes.map((v) => v.name).sort();
  assert.deepEqual(container.volumeMounts.map((m) => m.name).sort(), volumes);
  assert.ok(container.volumeMounts.find((m) => m.name === 'models').readOnly);
}
assert.equal(named('Job').spec.completions, named('ConfigMap').data['prompts.txt'].trim().split('\n').length);

// ---- what they run ------------------------------------------------------------------------------------

// A path of the container as one below `work`.
const here = (arg) => arg.replace(/^\/(store|token|prompts|images|models)\b/, (path) => work + path);

async function get(port, path, headers) {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, headers, timeout: 10000 }, (reply) => {
      reply.resume();
      reply.on('end', () => resolve(reply.statusCode));
    }).on('error', reject).end();
  });
}

async function check_server() {
  const [container] = server.spec.containers;
  const port = 20000 + process.pid % 20000;
  const made = /^# +(head .*) \| kubectl create secret/m.exec(readFileSync(join(folder, 'server.yaml'), 'utf8'))[1];
  const token = execFileSync('sh', ['-c', made], { encoding: 'utf8' }).trim();
  mkdirSync(join(work, 'token'));
  writeFileSync(join(work, 'token/token'), token, { mode: 0o400 });
  const args = container.args.map((a) => here(a).replace(/:8188$/, `:${port}`));
  assert.notDeepEqual(args, container.args);
  const child = spawn(program, [...args, '--device', 'cpu'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.on('exit', (code, signal) => resolve(code ?? signal)));
  try {
    await Promise.race([new Promise((resolve) => child.stdout.once('data', resolve)),
      ended.then((how) => assert.fail(`the server ended: ${how}`))]);
    for (const kind of ['startupProbe', 'livenessProbe', 'readinessProbe']) // the kubelet calls the pod by its address
      assert.equal(await get(port, container[kind].httpGet.path, { Host: `10.1.2.3:${port}` }), 200, kind);
    const service = { Host: `${named('Service').metadata.name}:${named('Service').spec.ports[0].port}` };
    assert.equal(await get(port, '/v1/jobs', service), 401, 'a client without the token');
    assert.equal(await get(port, '/v1/jobs', { ...service, Authorization: `Bearer ${token}` }), 200, 'with it');
    assert.equal(await get(port, '/v1/jobs', { Host: 'elsewhere.example', Authorization: `Bearer ${token}` }), 421);
  } finally {
    child.kill('SIGTERM');
  }
  assert.equal(await ended, 0, 'it ends when it is told to');
}

function check_job() {
  const [container] = job.spec.containers;
  mkdirSync(join(work, 'prompts'));
  writeFileSync(join(work, 'prompts/prompts.txt'), named('ConfigMap').data['prompts.txt']);
  const [script, ...command] = [...container.command, ...container.args].map(here);
  for (let index = 0; index < named('Job').spec.completions; index++) {
    execFileSync(join('packaging/slurm', script), [...command, '--steps', '1', '-W', '64', '-H', '64', '--device', 'cpu'],
      { env: { ...process.env, VEETANCE: program, JOB_COMPLETION_INDEX: `${index}` }, stdio: 'inherit' });
    assert.ok(existsSync(join(work, `images/0000${index + 1}.png`)));
  }
}

await check_server();
check_job();
console.log(`${objects.length} objects are what Kubernetes takes, and do what they say`);
