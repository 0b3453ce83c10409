/**
 * The native layer on the newest Node that can be had: VMMCTL_NEWEST_NODE is its path. The files that are run are the tests of
 * that layer; in a lab it talks to the Node that runs this.
 */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { missing } from '../helpers/requires.js';
import { bootUml, requireUml } from './uml.js';

const FILES = [
  'core/native/libc',
  'core/native/reactor',
  'core/native/blocking',
  'core/backend/device/stream',
];

t.test('the newest Node', async (t) => {
  const node = process.env.VMMCTL_NEWEST_NODE;
  if (node === undefined) {
    missing(t, 'VMMCTL_NEWEST_NODE has to be the path of the newest Node.');
    return;
  }
  const version = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim();
  t.not(version.split('.')[0], process.version.split('.')[0], `it is ${version}`);

  for (const file of FILES) {
    const { status, stdout } = spawnSync(node, [`build/test/${file}.test.js`], {
      encoding: 'utf8',
    });
    t.equal(status, 0, `${file} on ${version}\n${status === 0 ? '' : stdout}`);
  }

  await t.test('vsock in user-mode Linux', async (t) => {
    if (!requireUml(t)) return;
    const lab = await bootUml(t);
    const newest = `${node} bin/vmmctl.cjs -b device vsock`;
    const listener = lab.start(`printf old | vmmctl -b device vsock listen 5000`);
    await listener.waitFor('listening');
    const { stdout, stderr } = await lab.run(`printf new | ${newest} connect local 5000`);
    t.equal(stdout.toString(), 'old', stderr);
    t.equal((await listener.exited).stdout.toString(), 'new');
    const { status } = await lab.run(`${newest} list`);
    t.equal(status, 0);
  });
});
