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
  /** How it looks: what went well, what to do, what was done, what stands in the way. */
  readonly tone: "success" | "info" | "done" | "warning";
  readonly text: string;
}

/** What the home page shows. */
export interface HomeView {
  /** The registered name, if there is one. */
  readonly user?: string | undefined;
  /** The message above the page, if there is one. */
  readonly alert?: Alert | undefined;
  /** How long the name is remembered, as a sentence, if there is one. */
  readonly remembered?: string | undefined;
}

/** What the form shows. */
export interface AddUsernameView {
  /** What was typed before. */
  readonly username: string;
  /** What is wrong with it, if anything. */
  readonly problem?: string | undefined;
}

/** What an error page shows. */
export interface ErrorView {
  readonly status: number;
  readonly message: string;
}

/** The icon's text, as SVG. */
export const icon: string = favicon;

// Where the files are linked: a new address for every content, so that it can be cached for good.
const iconPath = `/favicon.svg?${digest(icon)}`;

/** The style sheet's text. */
export const styleSheet: string = style.replace("/favicon.svg", iconPath);

const paths = { stylePath: `/style.css?${digest(styleSheet)}`, iconPath };

const eta = new Eta();
eta.loadTemplate("@base", baseTemplate);
eta.loadTemplate("@home", homeTemplate);
eta.loadTemplate("@add_username", addUsernameTemplate);
eta.loadTemplate("@error", errorTemplate);

/** The home page. */
export function renderHome(view: HomeView): string {
  return eta.render("@home", { ...view, ...paths });
}

/** The page with the form. */
export function renderAddUsername(view: AddUsernameView): string {
  return eta.render("@add_username", { ...view, ...paths });
}

/** A page for what did not work. */
export function renderError(view: ErrorView): string {
  return eta.render("@error", { ...view, ...paths });
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}
