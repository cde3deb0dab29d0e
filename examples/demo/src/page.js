// The page works without this script. It adds what needs several requests at once, and watches for a log-out.
// What is done is answered by a redirect back to the page.
const post = async (path) => {
  const answer = await fetch(path, { method: "POST", redirect: "manual" });
  if (answer.type !== "opaqueredirect") throw new Error(`${path}: ${answer.status}`);
};
const pause = (milliseconds) => new Promise((wake) => setTimeout(wake, milliseconds));
const user = () => document.getElementById("user")?.textContent ?? null;
const counters = () => ["counter", "naive"].map((id) => Number(document.getElementById(id).textContent));

// Lets a button do `work`, and tells in its section, once the page is there again, what `told` makes of the result.
let working = false;
const does = (section, id, work, told) => {
  const result = sessionStorage.getItem(id);
  sessionStorage.removeItem(id);
  if (result) {
    const notice = document.createElement("p");
    notice.className = "notice";
    notice.setAttribute("role", "status");
    notice.textContent = told(JSON.parse(result));
    document.getElementById(section).append(notice);
    notice.scrollIntoView({ block: "center" });
  }
  const button = document.getElementById(id);
  if (!button) return;
  button.hidden = false;
  button.onclick = async () => {
    working = button.disabled = true;
    // If a request failed, there is no result; the page then shows why.
    const measured = await work().catch(console.error);
    if (measured !== undefined) sessionStorage.setItem(id, JSON.stringify(measured));
    location.reload();
  };
};
does("clicks", "burst", async () => {
  const before = counters();
  const click = () => post("/page/count");
  await click(); // the first one may create the session
  await Promise.all(Array.from({ length: 49 }, click));
  return before;
}, (before) => {
  const [here, naive] = counters().map((count, at) => count - before[at]);
  return `Of 50 clicks at once, the left counter has ${here} and the right one ${naive}.`;
});
does("log-out", "late", async () => {
  const slow = fetch("/slow?ms=1500&write=late");
  await pause(300);
  await post("/page/logout");
  const logOut = performance.now();
  await slow;
  return Math.round(performance.now() - logOut) / 1000;
}, (seconds) => user() === null
  ? `The slow request ended ${seconds} s after your log-out. It changed nothing: you are still logged out.`
  : "The slow request has brought the session back.");

const name = user();
if (name !== null) {
  setInterval(async () => {
    if (document.hidden || working) return;
    const answer = await fetch("/whoami");
    if (answer.ok && (await answer.json()).user !== name) location.reload();
  }, 2000);
}
