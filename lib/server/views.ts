/** Views: functions from data to HTML. They use the Eta templates, which are part of the program and compiled once. */
import { createHash } from "node:crypto";
import { Eta } from "eta";
import addUsernameTemplate from "../../templates/add_username.eta" with { type: "text" };
import baseTemplate from "../../templates/base.eta" with { type: "text" };
import errorTemplate from "../../templates/error.eta" with { type: "text" };
import favicon from "../../templates/favicon.svg" with { type: "text" };
import homeTemplate from "../../templates/home.eta" with { type: "text" };
import style from "../../templates/style.css" with { type: "text" };

/** A message above a page. */
export interface Alert {
  /** The look: for a success, a request to the visitor, a change that was made, or a problem. */
  readonly tone: "success" | "info" | "done" | "warning";
  readonly text: string;
  /** A visitor's name in the text. Its writing direction must not reorder the rest, so the page isolates the name. */
  readonly name?: string | undefined;
}

/** The content of the home page. */
export interface HomeView {
  /** The registered name, if there is one. */
  readonly user?: string | undefined;
  /** The message above the page, if there is one. */
  readonly alert?: Alert | undefined;
  /**
   * How long the name of a registered visitor is remembered. This is HTML, and contains nothing that a visitor typed.
   */
  readonly remembered?: string | undefined;
  /** Whether a registered visitor can have the name remembered for longer. */
  readonly isKeepable?: boolean | undefined;
  /** The sentence below the heading for a visitor without a name. */
  readonly invitation?: string | undefined;
}

/** The content of the form. */
export interface AddUsernameView {
  /** The name in the field, as the visitor typed it before. */
  readonly username: string;
  /** The hint below the field, which tells what a name must be. */
  readonly hint: string;
  /** The error message for the name, if it is invalid. */
  readonly problem?: string | undefined;
  /** The error message for a valid name that could not be registered. */
  readonly failure?: string | undefined;
}

/** The content of an error page. */
export interface ErrorView {
  readonly status: number;
  readonly message: string;
}

/** The icon, as SVG. */
export const icon: string = favicon;

// Pages link to the files with a hash of their content. New content has a new address, so browsers can cache each file
// forever.
const iconPath = `/favicon.svg?${digest(icon)}`;

/** The style sheet. It refers to the icon by a relative path. */
export const styleSheet: string = style.replace("favicon.svg", iconPath.slice(1));

const stylePath = `/style.css?${digest(styleSheet)}`;

const eta = new Eta();
eta.loadTemplate("@base", baseTemplate);
eta.loadTemplate("@home", homeTemplate);
eta.loadTemplate("@add_username", addUsernameTemplate);
eta.loadTemplate("@error", errorTemplate);

/** Renders the pages of a site. */
export class Views {
  readonly #paths: Readonly<Record<string, string>>;

  /** @param basePath The path that the site is below, such as `/app`, or the empty string. */
  constructor(basePath: string) {
    this.#paths = {
      homePath: `${basePath}/`,
      keepPath: `${basePath}/?keep`,
      addPath: `${basePath}/add`,
      removePath: `${basePath}/remove`,
      stylePath: basePath + stylePath,
      iconPath: basePath + iconPath,
    };
  }

  /** The home page. */
  home(view: HomeView): string {
    return eta.render("@home", { ...view, ...this.#paths });
  }

  /** The page with the form. */
  addUsername(view: AddUsernameView): string {
    return eta.render("@add_username", { ...view, ...this.#paths });
  }

  /** The page for a request that failed. */
  error(view: ErrorView): string {
    return eta.render("@error", { ...view, ...this.#paths });
  }
}

function digest(content: string): string {
  return createHash("sha256").update(content).digest("hex").slice(0, 8);
}
