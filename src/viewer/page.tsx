/** The page: a shared session, a session of the server, or the list of sessions. */
import { render } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { App } from "./app.js";
import { Catalogue } from "./catalogue.js";
import { readLink } from "./deep-link.js";
import { ServedSession, SharedSession } from "./session-source.js";

function Page() {
  const [name, setName] = useState(() => readLink(location.hash).session);
  useEffect(() => {
    const listen = () => setName(readLink(location.hash).session);
    addEventListener("hashchange", listen);
    return () => removeEventListener("hashchange", listen);
  }, []);
  const source = useMemo(
    () =>
      SharedSession.isHere ? new SharedSession() : name === undefined ? undefined : new ServedSession(name),
    [name],
  );
  if (!source) return <Catalogue />;
  return <App key={name} source={source} hasCatalogue={!SharedSession.isHere} />;
}

const page = document.getElementById("page");
if (page) {
  page.textContent = "";
  render(<Page />, page);
}
