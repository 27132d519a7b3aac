/** Views: the Eta templates, embedded and compiled once, as functions from data to HTML; the only user of Eta. */
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
  /** Its look: success, a request to the visitor, a change that was made, or a problem. */
  readonly tone: "success" | "info" | "done" | "warning";
  readonly text: string;
  /** A visitor's name that the text ends with: its writing direction must not reorder the rest. */
  readonly name?: string | undefined;
}

/** The content of the home page. */
export interface HomeView {
  /** The registered name, if there is one. */
  readonly user?: string | undefined;
  /** The message above the page, if there is one. */
  readonly alert?: Alert | undefined;
  /** How long the name of a registered visitor is remembered: HTML, with nothing in it that a visitor typed. */
  readonly remembered?: string | undefined;
  /** Whether a registered visitor can have the name remembered for longer. */
  readonly isKeepable?: boolean | undefined;
  /** What a visitor without a name reads below the heading. */
  readonly invitation?: string | undefined;
}

/** The content of the form. */
export interface AddUsernameView {
  /** The name that was typed before. */
  readonly username: string;
  /** What a name must be. */
  readonly hint: string;
  /** What is wrong with the name, if anything. */
  readonly problem?: string | undefined;
  /** Why a good name was not registered, if it was not. */
  readonly trouble?: string | undefined;
}

/** The content of an error page. */
export interface ErrorView {
  readonly status: number;
  readonly message: string;
}

/** The icon, as SVG. */
export const icon: string = favicon;

// Pages link the files with a hash of their content: a new content has a new address, so each can be cached forever.
const iconPath = `/favicon.svg?${digest(icon)}`;

/** The style sheet. It names the icon by a path relative to its own. */
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

  /** @param basePath What the site's paths begin with, such as `/app`; the empty string if it has a host of its own. */
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
