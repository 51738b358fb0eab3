/** Light, dark, or what the system has. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

const themes = ["auto", "light", "dark"] as const;
type Theme = (typeof themes)[number];
const signs: Readonly<Record<Theme, string>> = { auto: "◐", light: "○", dark: "●" };
const place = "crash-safe-file theme";

function kept(): Theme {
  try {
    return themes.find((theme) => theme === localStorage.getItem(place)) ?? "auto";
  } catch {
    return "auto";
  }
}

export function ThemeButton(): JSX.Element {
  const [theme, setTheme] = useState(kept);
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem(place, theme);
    } catch {
      // A page of a file may have no storage: the theme lasts as long as the page.
    }
  }, [theme]);
  const next = themes[(themes.indexOf(theme) + 1) % themes.length] as Theme;
  return (
    <button
      type="button"
      class="icon"
      aria-label={`Theme: ${theme}`}
      title={`Theme: ${theme}`}
      onClick={() => setTheme(next)}
    >
      {signs[theme]}
    </button>
  );
}
