import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createVirtualClock } from '@hotpath/core/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../../src/cli/run.ts';
import { checkPinFile, createConstitution, fingerprint, readPinFile } from '../../src/index.ts';

const WHOLE_OTHER = fingerprint('another');
const TEXT = 'Article 1\n        \nAll are heard.\nArticle 2\nNothing is hidden.\n';

let folder: string;
let documentPath: string;
let pin: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hotpath-pin-'));
  documentPath = join(folder, 'constitution.md');
  pin = join(folder, 'constitution.lock.json');
  writeFileSync(documentPath, TEXT);
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function cli(...args: string[]): Promise<{ code: number; out: string; error: string }> {
  let out = '';
  let error = '';
  const code = await run(args, {
    out: (text) => {
      out += `${text}\n`;
    },
    error: (text) => {
      error += `${text}\n`;
    },
  });
  return { code, out, error };
}

const json = async (...args: string[]): Promise<{ code: number; found: Record<string, unknown> }> => {
  const { code, out } = await cli(...args, '--json');
  return { code, found: JSON.parse(out) };
};

describe('the pin file', () => {
  it('holds the whole digest, and starts a constitution', async () => {
    expect((await cli('compute', documentPath, '--write', '--pin', pin)).code).toBe(0);
    const whole = fingerprint(TEXT);
    expect(readPinFile(pin)).toEqual({
      lockVersion: 1,
      document: 'constitution.md',
      profile: 'raw',
      version: 1,
      hash: whole.short,
      fingerprint: whole.toString(),
      acceptFrom: null,
      activeFrom: null,
      until: null,
      acceptedCopy: 'constitution.accepted',
      previous: [],
    });
    const constitution = createConstitution({ pinFile: pin });
    expect([constitution.active, constitution.fingerprint]).toEqual([whole.short, whole.toString()]);
    constitution.close();
  });

  it('keeps a service from starting, and CI from passing, once an editor stripped the spaces', async () => {
    await cli('compute', documentPath, '--write', '--pin', pin);
    expect(await cli('check', '--pin', pin)).toMatchObject({ code: 0 });
    writeFileSync(documentPath, TEXT.replaceAll(/ +$/gm, ''));
    const drift = expect.objectContaining({
      code: 'HOTPATH_CONSTITUTION_DRIFT',
      message: expect.stringMatching(/first difference in line 2$/),
    });
    expect(() => createConstitution({ pinFile: pin })).toThrow(drift);
    expect(() => checkPinFile(pin)).toThrow(drift);
    const checked = await cli('check', '--pin', pin);
    expect(checked.code).toBe(1);
    expect(checked.error).toContain('first difference in line 2');
    expect(await json('check', '--pin', pin)).toMatchObject({
      code: 1,
      found: { ok: false, code: 'HOTPATH_CONSTITUTION_DRIFT' },
    });
  });

  it('names no line when the accepted text was not kept, or is another', async () => {
    await cli('compute', documentPath, '--write', '--pin', pin);
    writeFileSync(documentPath, 'another\n');
    writeFileSync(join(folder, 'constitution.accepted'), 'forged\n');
    expect(() => checkPinFile(pin)).toThrow(/pinned is sha256:raw:[0-9a-f]{64}$/);
    rmSync(join(folder, 'constitution.accepted'));
    expect(() => checkPinFile(pin)).toThrow(/pinned is sha256:raw:[0-9a-f]{64}$/);
    expect((await cli('diff', '--pin', pin)).code).toBe(1);
  });

  it('names the line of bytes that are no text, and says what changed in them', async () => {
    const content = Buffer.from('one\ntwo \xff\nthree\n', 'latin1');
    writeFileSync(documentPath, content);
    await cli('compute', documentPath, '--write', '--pin', pin);
    content[8] = 0xfe;
    writeFileSync(documentPath, content);
    expect(() => checkPinFile(pin)).toThrow(/first difference in line 2$/);
    expect((await json('diff', '--pin', pin)).found.differences).toHaveLength(2);
  });

  it('keeps one copy for each of two pin files in a folder', async () => {
    const other = join(folder, 'rules.lock.json');
    const rules = join(folder, 'rules.md');
    writeFileSync(rules, 'Rule 1\nRule 2\n');
    await cli('compute', documentPath, '--write', '--pin', pin);
    await cli('compute', rules, '--write', '--pin', other);
    writeFileSync(documentPath, TEXT.replace('Article 2', 'Article II'));
    writeFileSync(rules, 'Rule 1\nRule II\n');
    expect(() => checkPinFile(pin)).toThrow(/first difference in line 4$/);
    expect(() => checkPinFile(other)).toThrow(/first difference in line 2$/);
  });

  it('fails the check when the pinned version is over, and takes no end before the beginning', async () => {
    await cli('compute', documentPath, '--write', '--pin', pin);
    writeFileSync(pin, JSON.stringify({ ...readPinFile(pin), until: '2020-01-01T00:00:00Z' }));
    expect(await json('check', '--pin', pin)).toMatchObject({
      code: 1,
      found: { code: 'HOTPATH_CONSTITUTION_RETIRED' },
    });
    const constitution = createConstitution({ pinFile: pin });
    expect(constitution.check(constitution.active)).toBe('retired');
    constitution.close();
    writeFileSync(documentPath, 'another\n');
    expect((await cli('rotate', '--pin', pin, '--until', '2020-01-01')).code).toBe(2);
    expect((await cli('rotate', '--pin', pin, '--lead', '1h', '--until', '2999-01-01')).code).toBe(0);
    expect(readPinFile(pin).until).toBe('2999-01-01T00:00:00.000Z');
  });

  it('never goes back to a version whose lead a later one overtook', async () => {
    await cli('compute', documentPath, '--write', '--pin', pin);
    writeFileSync(documentPath, 'second\n');
    await cli('rotate', '--pin', pin, '--lead', '1h');
    writeFileSync(documentPath, 'third\n');
    await cli('rotate', '--pin', pin);
    const start = Date.now();
    const clock = createVirtualClock();
    const constitution = createConstitution({
      pinFile: pin,
      clock: { ...clock, wallTime: () => start + clock.now() },
    });
    await clock.advance(2_000);
    expect(constitution.version).toBe(3);
    await clock.advance(2 * 3_600_000);
    expect(constitution.version).toBe(3);
    constitution.close();
  });

  it('shows the lines that differ', async () => {
    await cli('compute', documentPath, '--write', '--pin', pin);
    expect(await json('diff', '--pin', pin)).toEqual({
      code: 0,
      found: { ok: true, document: 'constitution.md', differences: [] },
    });
    writeFileSync(documentPath, 'Article 1\nAll are heard.\nArticle 2\nLittle is hidden.\nArticle 3\n');
    const { code, found } = await json('diff', '--pin', pin);
    expect(code).toBe(1);
    expect(found.differences).toEqual([
      { kind: 'removed', line: 2, text: '        ' },
      { kind: 'removed', line: 5, text: 'Nothing is hidden.' },
      { kind: 'added', line: 4, text: 'Little is hidden.' },
      { kind: 'added', line: 5, text: 'Article 3' },
    ]);
    expect((await cli('diff', '--pin', pin)).error).toContain('+5: "Article 3"');
  });

  it('rotates to the document as it is, and the service knows both versions', async () => {
    await cli('compute', documentPath, '--write', '--pin', pin, '--profile', 'text-v1');
    const before = fingerprint(TEXT, { profile: 'text-v1' });
    const nextText = `${TEXT}Article 3\n`;
    writeFileSync(documentPath, nextText);
    const after = fingerprint(nextText, { profile: 'text-v1' });
    const { code, found } = await json('rotate', '--pin', pin, '--lead', '1h', '--grace', '2d');
    expect([code, found.version, found.hash]).toEqual([0, 2, after.short]);
    expect(await cli('check', '--pin', pin)).toMatchObject({ code: 0 });
    const constitution = createConstitution({ pinFile: pin });
    expect(constitution.active).toBe(before.short);
    expect(constitution.check(after.short)).toBe('ok');
    const stored = readPinFile(pin);
    const [previous] = stored.previous;
    expect(Date.parse(previous?.until as string) - Date.parse(stored.activeFrom as string)).toBe(
      2 * 86_400_000,
    );
    constitution.close();

    await cli('rotate', '--pin', pin);
    writeFileSync(documentPath, TEXT);
    expect((await cli('rotate', '--pin', pin)).code).toBe(1);
    expect((await cli('rotate', '--pin', pin, '--force')).code).toBe(0);
    const forced = createConstitution({ pinFile: pin });
    expect([forced.active, forced.version, forced.check(after.short)]).toEqual([before.short, 3, 'ok']);
    forced.close();
  });

  it('is refused when it is not one', async () => {
    await cli('compute', documentPath, '--write', '--pin', pin);
    const good = JSON.parse(readFileSync(pin, 'utf8'));
    const wrong: readonly unknown[] = [
      null,
      [],
      { ...good, lockVersion: 2 },
      { ...good, document: '' },
      { ...good, profile: 'jcs-v1' },
      { ...good, hash: 'ffffffffffffffff' },
      { ...good, hash: undefined },
      { ...good, fingerprint: good.hash },
      { ...good, version: 0 },
      { ...good, until: 'soon' },
      { ...good, until: undefined },
      { ...good, acceptedCopy: 1 },
      { ...good, previous: {} },
      { ...good, previous: [null] },
      { ...good, previous: [{ ...good, version: 0 }] },
      { ...good, previous: [good] },
      { ...good, previous: [{ ...good, hash: WHOLE_OTHER.short, fingerprint: String(WHOLE_OTHER) }] },
      { ...good, acceptFrom: '2026-02-01', until: '2026-01-01' },
      { ...good, acceptFrom: '2026-02-01', activeFrom: '2026-01-01' },
    ];
    for (const content of wrong) {
      writeFileSync(pin, JSON.stringify(content));
      expect(() => readPinFile(pin), JSON.stringify(content)).toThrow(
        expect.objectContaining({ code: 'HOTPATH_CONSTITUTION_PIN_FILE' }),
      );
    }
    writeFileSync(pin, JSON.stringify({ ...good, activeFrom: '2026-02-01' }));
    expect(() => createConstitution({ pinFile: pin, clock: createVirtualClock() })).toThrow(
      'has no version whose time has come',
    );
    writeFileSync(pin, '{');
    expect(() => createConstitution({ pinFile: pin })).toThrow('is not JSON');
    expect(() => createConstitution({ pinFile: join(folder, 'none.json') })).toThrow(
      "can't be read (ENOENT)",
    );
  });
});

describe('hotpath-constitution', () => {
  it('prints a fingerprint and its short form', async () => {
    expect(await cli('compute', documentPath)).toEqual({
      code: 0,
      out: `${fingerprint(TEXT)}\n${fingerprint(TEXT).short}\n`,
      error: '',
    });
    expect(await json('compute', documentPath, '--profile', 'text-v1')).toMatchObject({
      found: { ok: true, hash: fingerprint(TEXT, { profile: 'text-v1' }).short },
    });
  });

  it('tells wrong usage by 2, and what it could not read by 3', async () => {
    await cli('compute', documentPath, '--write', '--pin', pin);
    const usage: readonly (readonly string[])[] = [
      [],
      ['toString'],
      ['verify'],
      ['compute'],
      ['compute', documentPath, documentPath],
      ['compute', documentPath, '--profile', 'v1'],
      ['compute', documentPath, '--write', '--pin', pin],
      ['check', 'x'],
      ['check', '--force'],
      ['check', '--nonsense'],
      ['rotate', '--pin', pin, '--lead', '5'],
      ['rotate', '--pin', pin, '--until', 'soon'],
      ['audit', 'verify'],
      ['audit', 'burn', folder],
      ['audit', 'prove', folder, 'x'],
    ];
    for (const args of usage) expect([args, (await cli(...args)).code]).toEqual([args, 2]);
    const unreadable: readonly (readonly string[])[] = [
      ['compute', join(folder, 'none')],
      ['check', '--pin', join(folder, 'none')],
      ['rotate', '--pin', pin],
      ['audit', 'verify', folder],
      ['audit', 'export', folder],
      ['audit', 'prove', folder, '0'],
    ];
    for (const args of unreadable) {
      expect([args, (await cli(...args)).code]).toEqual([args, 3]);
      expect(await json(...args)).toMatchObject({ code: 3, found: { ok: false } });
    }
    expect((await cli('--help')).code).toBe(0);
  });
});
