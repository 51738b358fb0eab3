// Preloaded before a program of the lab (node --import, bun --preload): its wall clock is that of
// `../wall-clock.mjs`, which jumps. As on a machine whose clock is set, `Date` and the times of files jump,
// together and in all processes at once; timers and `performance` do not. The time of a file is that of the clock
// when it was written.
// Not an import, because an imported function cannot be replaced under Bun.
const fs = process.getBuiltinModule("node:fs");
const { openSync, readSync, fstatSync, lstatSync, fstat, lstat, utimesSync } = fs;
const { utimes } = fs.promises;

const file = openSync(process.env.LAB_WALL_CLOCK, "r");
const jump = new Float64Array(2);
const bytes = new Uint8Array(jump.buffer);
const jumps = [];

/** The offset of the clock at a moment of the machine's own clock. */
function ahead(at) {
  while (readSync(file, bytes, 0, bytes.length, jumps.length * bytes.length) === bytes.length)
    jumps.push({ from: jump[0], by: jump[1] });
  for (let i = jumps.length - 1; i >= 0; i--) if (jumps[i].from <= at) return jumps[i].by;
  return 0;
}

const RealDate = Date;
const now = () => {
  const real = RealDate.now();
  return real + ahead(real);
};
globalThis.Date = new Proxy(RealDate, {
  construct: (target, given, made) =>
    Reflect.construct(target, given.length === 0 ? [now()] : given, made === globalThis.Date ? target : made),
  apply: () => new RealDate(now()).toString(),
  get: (target, key) => (key === "now" ? now : Reflect.get(target, key)),
});

/** Only the library asks for exact numbers. No other code here reads times of files. */
function moved(stat) {
  if (typeof stat?.mtimeNs !== "bigint") return stat;
  for (const time of ["mtime", "ctime"]) {
    const by = Math.round(ahead(Number(stat[`${time}Ms`])));
    stat[`${time}Ms`] += BigInt(by);
    stat[`${time}Ns`] += BigInt(by) * 1_000_000n;
  }
  return stat;
}
const later =
  (call) =>
  (...given) => {
    const answer = given.pop();
    call(...given, (error, stat) => answer(error, moved(stat)));
  };
fs.fstatSync = (...given) => moved(fstatSync(...given));
fs.lstatSync = (...given) => moved(lstatSync(...given));
fs.fstat = later(fstat);
fs.lstat = later(lstat);

/** Times that are set are times of this clock. */
const own = (time) => new RealDate(Number(time) - ahead(RealDate.now()));
fs.utimesSync = (path, atime, mtime) => utimesSync(path, own(atime), own(mtime));
fs.promises.utimes = (path, atime, mtime) => utimes(path, own(atime), own(mtime));

if (!process.versions.bun) process.getBuiltinModule("node:module").syncBuiltinESMExports();
