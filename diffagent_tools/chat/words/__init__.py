"""The phrases of a chat, a table a subject: settings, filters, models, wishes, questions, other languages."""
