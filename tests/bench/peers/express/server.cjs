// The same job with Express, express-session and session-file-store, on Node.
const express = require("express");
const session = require("express-session");
const FileStore = require("session-file-store")(session);

const app = express();
app.set("view engine", "ejs");
app.set("views", __dirname);
app.use(express.urlencoded({ extended: false }));
app.use(session({
  store: new FileStore({ path: process.env.SESSION_FILE_DIR, ttl: 3600, retries: 0, logFn() {} }),
  secret: "a key of at least 32 characters for the cookie",
  resave: false,
  saveUninitialized: false,
  cookie: { httpOnly: true, sameSite: "lax" },
}));
app.get("/", (request, response) => response.render("page", { session: request.session }));
app.post("/add", (request, response) => {
  request.session.user = request.body.username;
  request.session.greet = `Successfully registered username - ${request.body.username}.`;
  request.session.save(() => response.redirect(303, "/"));
});
app.listen(Number(process.argv[2]), "127.0.0.1");
